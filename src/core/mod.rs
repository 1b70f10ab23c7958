//! The scheduler: what is ready, what is due when, who watches which file descriptor.
//!
//! Plain data structures and no more. Nothing here reads a clock, makes a system call, or knows of
//! Qt or Python: `now` is an argument, and payloads are of any type `T`. Nothing here runs a
//! payload or drops one on the quiet either: what leaves a structure is returned, because for the
//! Python side both may run code that comes back in.

pub mod awake;
pub mod inbox;
pub mod ready;
pub mod state;
pub mod time;
pub mod timers;
pub mod watch;

pub use self::awake::AwakeFlag;
pub use self::inbox::Inbox;
pub use self::ready::Ready;
pub use self::state::{Phase, Refused, RunState};
pub use self::time::Time;
pub use self::timers::{TimerKey, Timers};
pub use self::watch::{Direction, Fd, Interest, Watches};

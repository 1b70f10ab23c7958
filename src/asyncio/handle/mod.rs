//! `Handle` and `TimerHandle`: asyncio's own classes, extended by C's API so that it is cheap to
//! make and to run a handle.
//!
//! They are real subclasses of `asyncio.Handle` and `asyncio.TimerHandle`: `isinstance`, `repr`,
//! comparisons, attributes and `_run` are the stock ones. But Rust reads and writes the attributes
//! (`__slots__` members) at their offsets, which are looked up once.
//!
//! **Gain.** If Rust called the class to make a handle, `call-soon-chain` would take 87 % more
//! instructions, a burst of `call_soon` 101 %, `sleep0-1000-tasks` 34 %, `task-create` 26 %
//! (callgrind, CPython 3.13; docs/performance.md has the table). It is safe because the offsets
//! come from the member descriptors of the running Python's classes, and because objects of other
//! classes are never touched ([`Types::knows`](layout::Types::knows)). A Python whose handles have
//! other members fails at import, with the name of the member, and not later by a crash.

mod class;
mod layout;
mod lock;
mod members;
mod memory;
mod new;
mod run;

pub use self::class::{Methods, REDUCE, register};
pub use self::lock::locked;
pub use self::members::{
    context, event_loop, forget_callback, is_cancelled, set_cancelled, set_repr,
    set_source_traceback, set_timer_key, timer_key,
};
pub use self::memory::{leave_queue, leave_queues, queue, track, visit};
pub use self::new::HandleParts;
pub use self::run::{entered, run};

//! The executor: Rust futures as tasks of a loop, beside whatever else it runs.
//!
//! A task is polled by the loop's thread, as one item of a batch, whenever it was woken; woken many times before it has its turn, it
//! is polled once. Its wakers may be used from any thread. What it waits for, it asks of the loop: timers ([`sleep`]), file
//! descriptors ([`Readiness`]; sockets: [`net`]; pipes: [`pipe`]), child processes ([`process`]), other tasks ([`JoinHandle`]).
//!
//! The loop may be a Rust one ([`EventLoop`]) or Python's: `scheduler::Scheduler` is all that the executor wants of it.

mod body;
pub(crate) mod current;
mod event_loop;
pub(crate) mod executor;
#[cfg(feature = "python")]
pub(crate) mod export;
mod flags;
mod handle;
pub(crate) mod job;
mod join;
pub mod net;
pub mod pipe;
pub mod process;
mod raw;
mod readiness;
pub(crate) mod scheduler;
mod side;
#[cfg(feature = "python")]
pub(crate) mod table;
mod time;
#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod wake_model;
mod waker;

use std::future::Future;

pub use event_loop::{Attachment, BlockOnError, EventLoop};
pub use handle::{Handle, LocalHandle};
pub use join::{JoinError, JoinHandle};
pub use readiness::Readiness;
pub use time::{Elapsed, Interval, Sleep, interval, sleep, sleep_until, timeout, yield_now};

/// As [`LocalHandle::spawn_local`], for the loop that runs on this thread.
///
/// # Panics
/// If none does.
#[track_caller]
pub fn spawn_local<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    LocalHandle::current().spawn_local(future)
}

//! The executor: Rust futures as tasks of a loop, beside whatever else the loop runs.
//!
//! The loop's thread polls a task as one item of a batch, whenever the task was woken. A task that
//! is woken many times before its turn is polled once. Its wakers may be used from any thread. A
//! task waits for things of the loop: timers ([`sleep`]), file descriptors ([`Readiness`]; sockets:
//! [`net`]; pipes: [`pipe`]), child processes ([`process`]), other tasks ([`JoinHandle`]).
//!
//! The loop may be a Rust one ([`EventLoop`]) or Python's. `scheduler::Scheduler` is all that the
//! executor needs of it.

mod cell;
pub(crate) mod current;
mod event_loop;
pub(crate) mod executor;
pub(crate) mod foreign;
mod handle;
mod io;
pub(crate) mod scheduler;

use std::future::Future;

pub use self::cell::join::{JoinError, JoinHandle};
pub use self::event_loop::{Attachment, BlockOnError, EventLoop};
pub use self::handle::{Handle, LocalHandle};
pub use self::io::net;
pub use self::io::readiness::Readiness;
pub use self::io::time::{
    Elapsed, Interval, Sleep, interval, sleep, sleep_until, timeout, yield_now,
};
#[cfg(unix)]
pub use self::io::{pipe, process};

/// As [`LocalHandle::spawn_local`], for the loop that runs on this thread.
///
/// # Panics
/// If no loop runs on this thread.
#[track_caller]
pub fn spawn_local<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
    LocalHandle::current().spawn_local(future)
}

//! What a runtime offers.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::latch::Latch;

/// Something that runs futures on the thread that made it. A clone is the same runtime.
pub trait Runtime: Clone + 'static {
    /// The name in the report.
    fn name(&self) -> String;

    /// Runs a future to its end, and with it the tasks.
    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output;

    /// Makes a task. Its future is first polled when the runtime comes to it, not in this call.
    /// `Send`, because one runtime asks for it.
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F);
}

/// A runtime whose tasks can be waited for by a handle.
pub trait Joins: Runtime {
    /// Makes a task, and a future that is done when it is.
    fn spawn_to_join<F: Future<Output = ()> + Send + 'static>(
        &self,
        future: F,
    ) -> impl Future<Output = ()> + 'static;
}

/// A runtime with timers.
pub trait Timers: Runtime {
    /// Waits. Sets a timer when polled first; dropped, it takes it back.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Makes a task that sleeps, then counts down.
    fn spawn_sleeper(&self, duration: Duration, latch: Latch);
}

/// A runtime with sockets.
pub trait Sockets: Runtime {
    /// Makes a task that sends a byte and awaits the answer `rounds` times, then counts down, and
    /// one that answers.
    fn spawn_ping_pong(&self, ends: (UnixStream, UnixStream), rounds: usize, latch: Latch);
}

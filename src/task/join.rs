//! A task as those see it who wait for its outcome.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use async_task::{FallibleTask, Task};

use super::executor::Member;

/// A task that was spawned. As a future it gives the task's output.
///
/// Dropping it cancels the task: its future is dropped by the loop's thread, soon, and not polled again.
/// [`detach`](JoinHandle::detach) lets the task go on by itself.
#[must_use = "dropping the handle cancels the task: call `detach` to let it go on"]
#[derive(Debug)]
pub struct JoinHandle<T> {
    /// None if the loop was closed already.
    task: Option<FallibleTask<thread::Result<T>, Member>>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(task: Task<thread::Result<T>, Member>) -> JoinHandle<T> {
        JoinHandle { task: Some(task.fallible()) }
    }

    pub(super) fn cancelled() -> JoinHandle<T> {
        JoinHandle { task: None }
    }

    /// Lets the task go on though nobody waits for it.
    pub fn detach(self) {
        if let Some(task) = self.task {
            task.detach();
        }
    }

    /// Cancels the task, and waits until its future is dropped: the output if it had been quicker.
    ///
    /// To cancel without waiting, drop the handle.
    pub async fn cancel(self) -> Option<T> {
        self.task?.cancel().await?.ok()
    }

    /// Whether the task has come to its end, whatever that was.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(FallibleTask::is_finished)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &mut self.task else { return Poll::Ready(Err(JoinError(None))) };
        Pin::new(task).poll(context).map(|outcome| match outcome {
            Some(Ok(output)) => Ok(output),
            Some(Err(panic)) => Err(JoinError(Some(panic))),
            None => Err(JoinError(None)),
        })
    }
}

/// Why a task has no output.
pub struct JoinError(Option<Box<dyn Any + Send>>);

impl JoinError {
    #[cfg(feature = "async-runtimes")]
    pub(crate) fn of_panic(panic: Box<dyn Any + Send>) -> JoinError {
        JoinError(Some(panic))
    }

    /// Whether the task was cancelled: by hand, or because its loop was closed.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the task's future panicked.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// What it panicked with; `None` if the task was cancelled.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.0
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(panic) = &self.0 else { return f.write_str("the task was cancelled") };
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        write!(f, "the task panicked: {}", text.unwrap_or("with a value that is no text"))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_panic() { "JoinError::Panic" } else { "JoinError::Cancelled" })
    }
}

impl Error for JoinError {}

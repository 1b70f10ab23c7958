//! The handle by which the outcome of a task is awaited.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::raw::TaskRef;

/// A task that was spawned. As a future it gives the task's output.
///
/// Dropping it cancels the task: the loop's thread drops the future, soon, and does not poll it
/// again. [`detach`](JoinHandle::detach) lets the task go on by itself.
#[must_use = "dropping the handle cancels the task: call `detach` to let it go on"]
#[derive(Debug)]
pub struct JoinHandle<T> {
    /// None if there is no outcome to wait for: the loop was closed already, or the outcome was
    /// taken.
    task: Option<TaskRef>,
    output: PhantomData<T>,
}

// SAFETY: through a reference the handle tells whether the task has ended, and gives no output.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// The handle of a task.
    ///
    /// # Safety
    /// `T` is the type of the task's output, and there is no other handle.
    pub(in crate::task) unsafe fn new(task: TaskRef) -> JoinHandle<T> {
        JoinHandle { task: Some(task), output: PhantomData }
    }

    pub(in crate::task) fn cancelled() -> JoinHandle<T> {
        JoinHandle { task: None, output: PhantomData }
    }

    /// The task, unless there is no outcome to wait for.
    pub(in crate::task) fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// Lets the task go on although nobody waits for it.
    pub fn detach(mut self) {
        self.leave();
    }

    /// Cancels the task, and waits until its future is dropped. Returns the output if the task has
    /// ended before.
    ///
    /// To cancel without waiting, drop the handle.
    pub async fn cancel(self) -> Option<T> {
        self.task.as_ref()?.cancel();
        self.await.ok()
    }

    /// Whether the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(TaskRef::has_ended)
    }

    /// Gives up the outcome. Returns the task, if it has not ended.
    fn leave(&mut self) -> Option<TaskRef> {
        let task = self.task.take()?;
        // SAFETY: this is the only handle, and it has let go of the task.
        let has_ended = unsafe { task.detach() };
        (!has_ended).then_some(task)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.leave() {
            task.cancel();
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &self.task else { return Poll::Ready(Err(JoinError(None))) };
        // SAFETY: the task's output is a `T`, and this is the only handle.
        let outcome = ready!(unsafe { task.poll_outcome::<T>(context) });
        self.task = None;
        Poll::Ready(match outcome {
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

    /// Whether the task was cancelled, by a call or because its loop was closed.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the task's future panicked.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// The value of the panic; `None` if the task was cancelled.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.0
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(panic) = &self.0 else { return f.write_str("the task was cancelled") };
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        write!(f, "the task panicked: {}", text.unwrap_or("with a value that is no text"))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_panic() { "JoinError::Panic" } else { "JoinError::Cancelled" })
    }
}

impl Error for JoinError {}

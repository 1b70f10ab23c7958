//! Handles of a loop: one that stays on the loop's thread, one for other threads.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures::task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};

use super::cell::join::JoinHandle;
use super::current;
#[cfg(all(feature = "python", unix))]
use super::current::Entered;
use super::executor::{Executor, Shared};
use super::foreign::job::{Closure, Job};
use crate::core::Time;

/// A loop, on its own thread. It is cheap to clone. It outlives the loop; tasks that are spawned
/// after the loop's end are cancelled at once.
#[derive(Clone)]
pub struct LocalHandle {
    executor: Rc<Executor>,
}

impl LocalHandle {
    pub(crate) fn new(executor: Rc<Executor>) -> LocalHandle {
        LocalHandle { executor }
    }

    /// The loop that runs on this thread or is attached to it; `None` if there is none.
    pub fn try_current() -> Option<LocalHandle> {
        current::current().map(LocalHandle::new)
    }

    /// The loop that runs on this thread or is attached to it.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn current() -> LocalHandle {
        LocalHandle::new(current::expect_current())
    }

    /// Makes this the current loop of the thread until what is returned is dropped.
    #[cfg(all(feature = "python", unix))]
    pub(crate) fn enter(&self) -> Entered {
        self.executor.enter()
    }

    /// The time on the loop's clock.
    pub fn now(&self) -> Time {
        self.executor.scheduler().now()
    }

    /// Makes a task of a future that stays on this thread. The future is polled for the first time
    /// in the loop's next batch.
    ///
    /// A panic of the future is the task's outcome. The panic hook reports it, and the
    /// [`JoinHandle`] gives it to whoever awaits the task.
    pub fn spawn_local<F: Future<Output: 'static> + 'static>(
        &self,
        future: F,
    ) -> JoinHandle<F::Output> {
        self.executor.spawn(future)
    }

    /// Calls `function` in the loop's next batch.
    pub fn call_soon(&self, function: impl FnOnce() + 'static) {
        let executor = Rc::downgrade(&self.executor);
        self.executor.scheduler().call_soon(Job::local(Closure(move || {
            match executor.upgrade() {
                Some(executor) => executor.within(function),
                None => function(),
            }
        })));
    }

    /// Asks the run to end when the iteration under way is done.
    pub fn stop(&self) {
        self.executor.scheduler().stop();
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(self.executor.shared()) }
    }
}

impl fmt::Debug for LocalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle").finish_non_exhaustive()
    }
}

impl LocalSpawn for LocalHandle {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.status_local()?;
        self.spawn_local(future).detach();
        Ok(())
    }

    fn status_local(&self) -> Result<(), SpawnError> {
        status(self.executor.shared())
    }
}

impl Spawn for LocalHandle {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.spawn_local_obj(future.into())
    }

    fn status(&self) -> Result<(), SpawnError> {
        self.status_local()
    }
}

/// A loop, for any thread. It is cheap to clone. It outlives the loop; tasks that are spawned after
/// the loop's end are cancelled at once.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Makes a task of a future that may come from any thread. Only the loop's thread polls it.
    ///
    /// A panic of the future is the task's outcome. The panic hook reports it, and the
    /// [`JoinHandle`] gives it to whoever awaits the task.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.shared.spawn(future)
    }

    /// Calls `function` on the loop's thread, in the next batch. It is never called if the loop is
    /// closed by then.
    pub fn call_soon(&self, function: impl FnOnce() + Send + 'static) {
        let shared = Arc::downgrade(&self.shared);
        self.shared.send(Job::sent(Closure(move || match shared.upgrade() {
            // SAFETY: the loop's thread runs what is sent to it.
            Some(shared) => unsafe { shared.within(function) },
            None => function(),
        })));
    }

    /// Whether the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Spawn for Handle {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.status()?;
        self.spawn(future).detach();
        Ok(())
    }

    fn status(&self) -> Result<(), SpawnError> {
        status(&self.shared)
    }
}

fn status(shared: &Shared) -> Result<(), SpawnError> {
    if shared.is_closed() { Err(SpawnError::shutdown()) } else { Ok(()) }
}

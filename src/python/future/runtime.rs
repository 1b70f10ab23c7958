//! The loop as a runtime of the crate `pyo3-async-runtimes`, for code that is generic over those.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, LocalContextExt, Runtime, SpawnLocalExt};

use super::current_loop::current_loop;
use super::last_loop;
use crate::task::{Handle, JoinError, JoinHandle, LocalHandle};

/// The loop as a runtime of the crate `pyo3-async-runtimes`:
/// `generic::future_into_py::<Qtloop, _, _>(py, future)`.
///
/// Tasks are spawned on the loop that runs on the calling thread or is attached to it; on any other
/// thread, on the loop that got its first Rust future last. Blocking functions run in the threads
/// of the crate `blocking`.
///
/// [`future_into_py`](crate::python::future_into_py) and
/// [`into_future`](crate::python::into_future) do the same for less: they need neither `Send` nor a
/// detour by `call_soon_threadsafe`. While a future runs a nested event loop of Qt's itself, Python
/// code in that still sees the future's `TaskLocals`.
///
/// # Panics
/// Spawning does if there is no such loop.
#[derive(Clone, Copy, Debug)]
pub struct Qtloop;

/// This thread's loop.
fn local() -> Option<LocalHandle> {
    LocalHandle::try_current().or_else(|| Python::try_attach(|py| current_loop(py).ok()).flatten())
}

#[track_caller]
fn handle() -> Handle {
    match local().map(|local| local.handle()).or_else(last_loop::get) {
        Some(handle) => handle,
        None => panic!("no event loop of qtloop's has had a Rust future yet"),
    }
}

impl Runtime for Qtloop {
    type JoinError = JoinError;
    type JoinHandle = Spawned;

    #[track_caller]
    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> Spawned {
        Spawned(Some(Running::Task(handle().spawn(future))))
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(function: F) -> Spawned {
        let call = move || catch_unwind(AssertUnwindSafe(function));
        Spawned(Some(Running::Thread(blocking::unblock(call))))
    }
}

impl SpawnLocalExt for Qtloop {
    #[track_caller]
    fn spawn_local<F: Future<Output = ()> + 'static>(future: F) -> Spawned {
        let local = local().unwrap_or_else(LocalHandle::current);
        Spawned(Some(Running::Task(local.spawn_local(future))))
    }
}

impl generic::JoinError for JoinError {
    fn is_panic(&self) -> bool {
        JoinError::is_panic(self)
    }

    fn into_panic(self) -> Box<dyn Any + Send> {
        JoinError::into_panic(self)
            .unwrap_or_else(|| Box::new("the task was cancelled, it did not panic"))
    }
}

/// What was spawned by [`Qtloop`]. As other runtimes have it, it goes on if this is dropped.
#[derive(Debug)]
pub struct Spawned(Option<Running>);

#[derive(Debug)]
enum Running {
    Task(JoinHandle<()>),
    Thread(blocking::Task<thread::Result<()>>),
}

impl Future for Spawned {
    type Output = Result<(), JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.0 {
            Some(Running::Task(task)) => Pin::new(task).poll(context),
            Some(Running::Thread(task)) => {
                Pin::new(task).poll(context).map_err(JoinError::of_panic)
            }
            None => panic!("a future was polled after its end"),
        };
        if outcome.is_ready() {
            self.0 = None;
        }
        outcome
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Running::Task(task)) => task.detach(),
            Some(Running::Thread(task)) => task.detach(),
            None => {}
        }
    }
}

thread_local! {
    /// Those of the future that is polled.
    static LOCALS: RefCell<Option<TaskLocals>> = const { RefCell::new(None) };
}

impl ContextExt for Qtloop {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(Scoped { future, locals })
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.with_borrow(Clone::clone)
    }
}

impl LocalContextExt for Qtloop {
    fn scope_local<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R>>>
    where
        F: Future<Output = R> + 'static,
    {
        Box::pin(Scoped { future, locals })
    }
}

/// A future that has task locals.
struct Scoped<F> {
    future: F,
    locals: TaskLocals,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _scope = Scope::enter(self.locals.clone());
        // SAFETY: the future is pinned as long as the whole is, and is not moved out of it.
        unsafe { self.map_unchecked_mut(|scoped| &mut scoped.future) }.poll(context)
    }
}

/// A stretch with task locals. Ends when dropped.
struct Scope(Option<TaskLocals>);

impl Scope {
    fn enter(locals: TaskLocals) -> Scope {
        Scope(LOCALS.replace(Some(locals)))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let left = LOCALS.replace(self.0.take());
        drop(left);
    }
}

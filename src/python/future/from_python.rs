//! What Python awaits, as a Rust future.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use pyo3::{ffi, intern};

use super::current_loop::{Address, Home, running_loop};

/// A future that gives what `awaitable` returns or raises: a coroutine, which becomes a task of the
/// running loop's, an `asyncio.Future` or Task of that loop, or any other awaitable.
///
/// A task is made at once, in a copy of the current `contextvars` context, and its first step is in
/// the loop's next batch. Dropping the future before the end cancels it, as cancelling a task
/// cancels what that awaits; this goes for an `asyncio.Future` of somebody else's, too. What the
/// task then still does it does on its own.
///
/// Not `Send`: it belongs to the loop's thread.
///
/// # Errors
/// As [`current_loop`](crate::python::current_loop); `TypeError` if that is no awaitable;
/// `ValueError` if it is a future of another loop.
pub fn into_future(
    awaitable: Bound<'_, PyAny>,
) -> PyResult<impl Future<Output = PyResult<Py<PyAny>>> + Unpin + use<>> {
    let event_loop = running_loop(awaitable.py())?;
    let home = Home::of(&event_loop)?;
    let awaited = ensure_future(&event_loop, awaitable)?.unbind();
    Ok(Awaiting { awaited, home, progress: Progress::New })
}

fn ensure_future<'py>(
    event_loop: &Bound<'py, PyAny>,
    awaitable: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static ENSURE_FUTURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = event_loop.py();
    // SAFETY: reads the type of a live object.
    if unsafe { ffi::PyCoro_CheckExact(awaitable.as_ptr()) } != 0 {
        return event_loop.call_method1(intern!(py, "create_task"), (awaitable,));
    }
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "loop"), event_loop)?;
    ENSURE_FUTURE.import(py, "asyncio.tasks", "ensure_future")?.call((awaitable,), Some(&arguments))
}

/// Waits for an `asyncio.Future` of its loop's.
struct Awaiting {
    awaited: Py<PyAny>,
    home: Rc<Home>,
    progress: Progress,
}

enum Progress {
    /// Not polled yet.
    New,
    /// The done callback will say when it is done.
    Waiting(Py<Completion>),
    /// The outcome was given.
    Over,
}

impl Future for Awaiting {
    type Output = PyResult<Py<PyAny>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Python::attach(|py| {
            let is_done = match &self.progress {
                Progress::New => self.begin(py, context.waker()),
                Progress::Waiting(completion) => Ok(completion.get().is_done(context.waker())),
                Progress::Over => panic!("a future was polled after its end"),
            };
            if let Ok(false) = is_done {
                return Poll::Pending;
            }
            self.progress = Progress::Over;
            Poll::Ready(is_done.and_then(|_| self.awaited.call_method0(py, intern!(py, "result"))))
        })
    }
}

impl Awaiting {
    /// Asks to be told when it is done; whether it is already.
    fn begin(&mut self, py: Python<'_>, waker: &Waker) -> PyResult<bool> {
        let awaited = self.awaited.bind(py);
        if awaited.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(true);
        }
        let completion = Bound::new(py, Completion::new(waker.clone(), self.home.address()))?;
        awaited.call_method1(intern!(py, "add_done_callback"), (&completion,))?;
        self.progress = Progress::Waiting(completion.unbind());
        Ok(false)
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        let progress = std::mem::replace(&mut self.progress, Progress::Over);
        if let Progress::Over = progress {
            return;
        }
        // Without an interpreter there is nothing to cancel.
        let _cancelled = Python::try_attach(|py| {
            if let Progress::Waiting(completion) = &progress {
                completion.get().forget();
            }
            // A closed loop would refuse to run what cancelling schedules.
            if !self.home.is_closed()
                && let Err(error) = self.awaited.call_method0(py, intern!(py, "cancel"))
            {
                error.write_unraisable(py, Some(self.awaited.bind(py)));
            }
        });
    }
}

/// A done callback that wakes who waits.
#[pyclass(frozen, module = "qtloop")]
struct Completion {
    state: Mutex<State>,
    home: Address,
}

enum State {
    Waiting(Waker),
    Done,
}

impl Completion {
    fn new(waker: Waker, home: Address) -> Completion {
        Completion { state: Mutex::new(State::Waiting(waker)), home }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was called. If not, it will wake `waker`.
    fn is_done(&self, waker: &Waker) -> bool {
        let replaced = match &mut *self.lock() {
            State::Done => return true,
            State::Waiting(before) if before.will_wake(waker) => return false,
            State::Waiting(before) => std::mem::replace(before, waker.clone()),
        };
        drop(replaced);
        false
    }

    /// Nobody waits any more.
    fn forget(&self) {
        let before = std::mem::replace(&mut *self.lock(), State::Done);
        drop(before);
    }
}

#[pymethods]
impl Completion {
    fn __call__(&self, _awaited: &Bound<'_, PyAny>) {
        let before = std::mem::replace(&mut *self.lock(), State::Done);
        let State::Waiting(waker) = before else { return };
        match Home::at(self.home) {
            Some(home) => home.executor.wake_and_run(&waker),
            None => waker.wake(),
        }
    }
}

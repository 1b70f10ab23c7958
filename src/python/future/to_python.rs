//! A Rust future for Python to await.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread;

use futures::FutureExt;
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyStopIteration, PySystemExit};
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, intern};

use super::current_loop::{Address, Home, running_loop};
use super::in_context::InContext;
use crate::task::JoinHandle;

/// An `asyncio.Future` of the running loop with the outcome of `future`, which runs as a task of
/// that loop and on its thread. It is polled for the first time in the loop's next batch, and goes
/// on whether or not somebody awaits it.
///
/// * An error of `future` is the exception of the `asyncio.Future`; a `CancelledError` cancels it.
///   `SystemExit` and `KeyboardInterrupt` also end the loop's run, as those of an `asyncio.Task`
///   do. A `StopIteration`, which no future can raise, becomes the cause of a `RuntimeError`.
/// * A panic becomes a `RuntimeError`, "a Rust future panicked: ...".
/// * If the `asyncio.Future` is cancelled, as by the task that awaits it, `future` is dropped in
///   the loop's next batch. Python code that it awaits is cancelled by that, and goes on to deal
///   with it on its own; nobody waits for it.
/// * If the loop is closed first, `future` is dropped, and the `asyncio.Future` remains pending.
///
/// `future` is polled in a copy of the current `contextvars` context. It is not in an
/// `asyncio.Task`: `asyncio.current_task()` is None.
///
/// # Errors
/// As [`current_loop`](crate::python::current_loop).
pub fn future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'py> IntoPyObject<'py> + 'static,
{
    let event_loop = running_loop(py)?;
    let home = Home::of(&event_loop)?;
    let awaited = event_loop.call_method0(intern!(py, "create_future"))?;
    let canceller = Bound::new(py, Canceller { task: Mutex::default(), home: home.address() })?;
    awaited.call_method1(intern!(py, "add_done_callback"), (&canceller,))?;
    let delivery =
        Delivery { awaited: awaited.clone().unbind(), canceller: canceller.clone().unbind() };
    let executor = Rc::clone(&home.executor);
    let future = InContext::new(py, home, future)?;
    let task = executor.spawn(async move {
        let outcome = AssertUnwindSafe(future).catch_unwind().await;
        Python::attach(|py| delivery.deliver(py, outcome));
    });
    canceller.get().set(Some(task));
    Ok(awaited)
}

/// A done callback: whoever else has completed the `asyncio.Future`, the task is of no use any
/// more.
#[pyclass(frozen, module = "qtloop")]
struct Canceller {
    task: Mutex<Option<JoinHandle<()>>>,
    home: Address,
}

impl Canceller {
    fn set(&self, task: Option<JoinHandle<()>>) -> Option<JoinHandle<()>> {
        std::mem::replace(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner), task)
    }
}

#[pymethods]
impl Canceller {
    fn __call__(&self, _awaited: &Bound<'_, PyAny>) {
        let task = self.set(None);
        match Home::at(self.home) {
            Some(home) => home.executor.run_woken(|| drop(task)),
            None => drop(task),
        }
    }
}

/// Whom to tell the outcome.
struct Delivery {
    awaited: Py<PyAny>,
    canceller: Py<Canceller>,
}

impl Delivery {
    fn deliver<T: for<'py> IntoPyObject<'py>>(
        self,
        py: Python<'_>,
        outcome: thread::Result<PyResult<T>>,
    ) {
        let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let outcome = outcome.and_then(|value| value.into_bound_py_any(py));
        let awaited = self.awaited.bind(py);
        let removed = awaited.call_method1(intern!(py, "remove_done_callback"), (self.canceller,));
        let told = removed.and_then(|_| match outcome {
            Ok(value) => awaited.call_method1(intern!(py, "set_result"), (value,)).map(drop),
            Err(error) => fail(awaited, error),
        });
        match told {
            Ok(()) => {}
            // It was cancelled in the meantime, or somebody else has set its outcome.
            Err(error) if error.is_instance_of::<InvalidStateError>(py) => {}
            Err(error) => error.write_unraisable(py, Some(awaited)),
        }
    }
}

/// Gives the `asyncio.Future` an exception.
fn fail(awaited: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = awaited.py();
    if error.is_instance_of::<CancelledError>(py) {
        let message = error.value(py).getattr(intern!(py, "args"))?.get_item(0).ok();
        return awaited.call_method1(intern!(py, "cancel"), (message,)).map(drop);
    }
    let error =
        if error.is_instance_of::<PyStopIteration>(py) { wrapped(py, error)? } else { error };
    if error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py) {
        let event_loop = awaited.call_method0(intern!(py, "get_loop"))?;
        // Before those run who await it, as when a task's own step raises it.
        event_loop.call_method1(intern!(py, "call_soon"), (Raise(error.clone_ref(py)),))?;
    }
    awaited.call_method1(intern!(py, "set_exception"), (error.into_value(py),)).map(drop)
}

/// What asyncio makes of a `StopIteration`.
fn wrapped(py: Python<'_>, error: PyErr) -> PyResult<PyErr> {
    let text = "StopIteration interacts badly with generators and cannot be raised into a Future";
    let wrapper = PyRuntimeError::new_err(text);
    wrapper.value(py).setattr(intern!(py, "__context__"), error.value(py))?;
    wrapper.set_cause(py, Some(error));
    Ok(wrapper)
}

fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    PyRuntimeError::new_err(format!(
        "a Rust future panicked: {}",
        text.unwrap_or("with a value that is no text")
    ))
}

/// A callback that ends the loop's run.
#[pyclass(frozen, module = "qtloop")]
struct Raise(PyErr);

#[pymethods]
impl Raise {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        Err(self.0.clone_ref(py))
    }
}

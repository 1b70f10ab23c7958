//! The way from Qt into Python code of the package.
//!
//! The handler of a signal may raise its exception between any two steps of that code. Qt cannot be
//! told of an exception: bindings end the process or print it. So that code is written in such a
//! way that a second call does what the first one has left to do. The calls are made here, and no
//! Python code surrounds them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::class::border::again;
use super::event_loop::Loop;
use super::python_half;
use crate::panics::contain;

/// An object for Qt to call. It calls `call` with its arguments, and again if that raises
/// something. It returns what `call` returns, or None. An exception is raised by the loop, or by
/// the next Python code if there is no loop.
///
/// With `note`, which must be a C function that raises nothing, `note` is called once with the
/// tuple of the arguments, and `call` then with none.
#[pyclass(subclass, frozen, weakref, module = "qtloop._core")]
pub struct Entrance {
    calls: Mutex<Option<Calls>>,
}

struct Calls {
    call: Py<PyAny>,
    note: Option<Py<PyAny>>,
    gone: Option<Py<PyAny>>,
}

#[pymethods]
impl Entrance {
    #[new]
    #[pyo3(signature = (call, note=None, gone=None))]
    fn new(call: Py<PyAny>, note: Option<Py<PyAny>>, gone: Option<Py<PyAny>>) -> Entrance {
        Entrance { calls: Mutex::new(Some(Calls { call, note, gone })) }
    }

    /// Calls `gone`, once, in the same way. It is the `__del__` of classes whose objects only Qt
    /// refers to.
    fn _finish(&self, py: Python<'_>) {
        let gone = self.lock().as_mut().and_then(|calls| calls.gone.take());
        if let Some(gone) = gone {
            enter(gone.bind(py), &PyTuple::empty(py));
        }
    }

    /// Drops what it calls, and does nothing from then on when it is called. For the time after a
    /// disconnection: PyQt keeps the slot until Qt's event loop gets its turn.
    fn _forget(&self) {
        let calls = self.lock().take();
        drop(calls);
    }

    #[pyo3(signature = (*arguments))]
    fn __call__(&self, arguments: &Bound<'_, PyTuple>) -> Option<Py<PyAny>> {
        let py = arguments.py();
        let (call, note) = {
            let calls = self.lock();
            // None if the garbage collector has cleared this. PyQt shows its slots to the
            // collector, which may clear them together with the sender; this call is then the
            // sender's last signal.
            let calls = calls.as_ref()?;
            (calls.call.clone_ref(py), calls.note.as_ref().map(|note| note.clone_ref(py)))
        };
        let Some(note) = note else { return enter(call.bind(py), arguments) };
        if let Err(error) = note.call1(py, (arguments,)) {
            raise_later(py, error);
        }
        enter(call.bind(py), &PyTuple::empty(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is being read just now cannot be seen. It is only not freed now.
        let Ok(calls) = self.calls.try_lock() else { return Ok(()) };
        let Some(calls) = &*calls else { return Ok(()) };
        visit.call(&calls.call)?;
        [&calls.note, &calls.gone].into_iter().flatten().try_for_each(|call| visit.call(call))
    }

    fn __clear__(&self) {
        self._forget();
    }
}

impl Entrance {
    fn lock(&self) -> MutexGuard<'_, Option<Calls>> {
        // No Python code runs under the lock.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `call` as an `Entrance` does.
#[pyfunction(name = "enter")]
#[pyo3(signature = (call, *arguments))]
pub fn enter_from_python(
    call: &Bound<'_, PyAny>,
    arguments: &Bound<'_, PyTuple>,
) -> Option<Py<PyAny>> {
    enter(call, arguments)
}

/// Makes a call that may be repeated, for a caller who cannot be told of exceptions.
pub fn enter(call: &Bound<'_, PyAny>, arguments: &Bound<'_, PyTuple>) -> Option<Py<PyAny>> {
    let py = call.py();
    let mut result = None;
    contain(|| {
        let (outcome, interrupts) = again(|| call.call1(arguments.clone()));
        interrupts.into_iter().for_each(|error| raise_later(py, error));
        match outcome {
            Ok(returned) => result = Some(returned.unbind()),
            Err(error) => raise_later(py, error),
        }
    });
    result
}

/// Raises an exception where it can be caught: in the run of this thread's loop, else in the next
/// Python code of the main thread, as if the signal had come then.
fn raise_later(py: Python<'_>, error: PyErr) {
    match loop_here(py) {
        Some(this) if this.get().raise_soon(py, &error) => {}
        _ => raise_in_main_thread(py, error),
    }
}

/// The loop of this package that runs in this thread, or is a guest here.
fn loop_here<'py>(py: Python<'py>) -> Option<Bound<'py, Loop>> {
    let find = |ask: &dyn Fn() -> PyResult<Bound<'py, PyAny>>| {
        let (found, _interrupts) = again(ask);
        found.ok().and_then(|found| found.cast_into::<Loop>().ok())
    };
    find(&|| py.import("asyncio.events")?.call_method0("_get_running_loop"))
        .or_else(|| find(&|| python_half::current(py)?.call_method0("guest")))
}

fn raise_in_main_thread(py: Python<'_>, error: PyErr) {
    // No signal handler runs in another thread. So the exception there is a fault, and does not
    // concern the main thread.
    let is_main = again(|| {
        let main = py
            .import("threading")?
            .getattr(intern!(py, "_main_thread"))?
            .getattr(intern!(py, "ident"))?;
        main.eq(py.import("_thread")?.call_method0("get_ident")?)
    });
    if !is_main.0.unwrap_or(false) {
        return error.write_unraisable(py, None);
    }
    let error = error.into_value(py).into_ptr();
    // SAFETY: the function fits, and gets a reference of its own.
    if unsafe { ffi::Py_AddPendingCall(Some(raise), error.cast()) } < 0 {
        // SAFETY: the reference was not passed on.
        let error = unsafe { Bound::from_owned_ptr(py, error) };
        PyErr::from_value(error).write_unraisable(py, None);
    }
}

/// Python's main thread calls this between two steps.
extern "C" fn raise(error: *mut std::ffi::c_void) -> std::ffi::c_int {
    // SAFETY: Python calls with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the reference that `raise_in_main_thread` has passed on.
    let error = unsafe { Bound::from_owned_ptr(py, error.cast()) };
    PyErr::from_value(error).restore(py);
    -1
}

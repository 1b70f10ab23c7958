//! The hosts that a Python loop can have, and the GIL around their calls.

mod python;

use std::marker::PhantomData;
use std::rc::Rc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyString};

pub use self::python::PythonHost;
use super::fatal::Fatal;
use crate::host::Host;
use crate::host::bare::Wait;
use crate::host::sim::SimHost;
use crate::host::table::{Boundary, CAPSULE, HostTable, TableHost};
use crate::sys::{poll, poll_for};

/// Releases the GIL while a native host waits, and takes it for each event.
struct Gil;

/// Restores the thread state when it is dropped, also by a panic.
struct Released(*mut ffi::PyThreadState);

impl Drop for Released {
    fn drop(&mut self) {
        // SAFETY: the state that `PyEval_SaveThread` gave to this thread.
        unsafe { ffi::PyEval_RestoreThread(self.0) };
    }
}

/// Gives a GIL state back when it is dropped, also by a panic.
pub struct Ensured(ffi::PyGILState_STATE, PhantomData<*const ()>);

impl Ensured {
    pub fn new() -> Ensured {
        // SAFETY: the interpreter runs: a loop of its is running.
        Ensured(unsafe { ffi::PyGILState_Ensure() }, PhantomData)
    }
}

impl Drop for Ensured {
    fn drop(&mut self) {
        // SAFETY: the state that `PyGILState_Ensure` gave to this thread.
        unsafe { ffi::PyGILState_Release(self.0) };
    }
}

impl Boundary for Gil {
    fn blocking(wait: impl FnOnce()) {
        // SAFETY: a run starts from Python, with the GIL held.
        let _released = Released(unsafe { ffi::PyEval_SaveThread() });
        wait();
    }

    fn event(handle: impl FnOnce()) {
        // The GIL is asked for from Python itself. pyo3 would trust an attachment further up this
        // stack, but a binding's `exec()` in between may have released the GIL without telling
        // pyo3.
        let _ensured = Ensured::new();
        Python::attach(|_| handle());
    }
}

/// Waits for fds without the GIL.
pub fn waiting() -> Box<Wait> {
    Box::new(|fds, patience| {
        let mut ready = Ok(Vec::new());
        Gil::blocking(|| ready = poll_for(fds, patience));
        ready
    })
}

/// The host behind what `qtloop._host_choice.resolve` returned: a capsule with a native host's
/// table, `"sim"`, or a host of Python's.
pub fn from_python(host: &Bound<'_, PyAny>, fatal: &Rc<Fatal>) -> PyResult<Box<dyn Host>> {
    if let Ok(capsule) = host.cast::<PyCapsule>() {
        let table = capsule.pointer_checked(Some(CAPSULE))?.cast::<HostTable>();
        // The module behind the capsule must not be freed. It never is, but the capsule might be.
        std::mem::forget(host.clone());
        // SAFETY: the capsule's name promises a table that keeps the contract and lives as long as
        // the capsule.
        let made = unsafe { TableHost::<Gil>::new(table.as_ptr()) };
        return Ok(Box::new(made.map_err(|error| PyValueError::new_err(error.to_string()))?));
    }
    if let Ok(name) = host.cast::<PyString>() {
        return match name.to_str()? {
            "sim" => Ok(Box::new(SimHost::with_poll(Box::new(|fds, block| {
                let mut ready = Ok(Vec::new());
                Gil::blocking(|| ready = poll(fds, block));
                ready
            })))),
            other => Err(PyTypeError::new_err(format!("no host is named {other:?}"))),
        };
    }
    Ok(Box::new(PythonHost::new(host.clone().unbind(), Rc::clone(fatal))))
}

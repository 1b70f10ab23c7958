//! What the border with Python needs beside pyo3.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyKeyboardInterrupt, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Runs the body of a C function that Python calls: an error becomes the pending exception, and so does a panic, which must
/// not unwind into C.
pub fn guard(body: impl FnOnce(Python<'_>) -> PyResult<*mut ffi::PyObject>) -> *mut ffi::PyObject {
    // SAFETY: Python calls with the GIL held.
    let py = unsafe { Python::assume_attached() };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(py)))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("qtloop: internal error (a Rust panic; see stderr)")));
    outcome.unwrap_or_else(|error| {
        error.restore(py);
        ptr::null_mut()
    })
}

/// As [`guard`], for a function that has nothing to return but whether it failed.
pub fn guard_set(body: impl FnOnce(Python<'_>) -> PyResult<()>) -> c_int {
    let none = guard(|py| body(py).map(|()| py.None().into_ptr()));
    if none.is_null() {
        return -1;
    }
    // SAFETY: the reference that was just made.
    unsafe { ffi::Py_DECREF(none) };
    0
}

/// Does something in a C function that Python calls, so that references which are dropped meanwhile are dropped at once. When the
/// interpreter is about to end, pyo3 no longer sees to that, and they stay.
pub fn attached<R>(body: impl Fn(Python<'_>) -> R) -> R {
    // SAFETY: Python calls with the GIL held.
    Python::try_attach(&body).unwrap_or_else(|| body(unsafe { Python::assume_attached() }))
}

/// Makes a call that has to be made, and may be made twice, in a place where its exception could reach nobody. If Ctrl-C comes in
/// the midst of it, it is made again, and the signal is left to be handled when a turn begins: there it can leave the loop.
///
/// # Errors
/// What the call raises otherwise.
pub fn again_if_interrupted<R>(py: Python<'_>, mut call: impl FnMut() -> PyResult<R>) -> PyResult<R> {
    let mut outcome = call();
    if outcome.as_ref().is_err_and(|error| error.is_instance_of::<PyKeyboardInterrupt>(py)) {
        outcome = call();
        // SAFETY: may be called at any time.
        unsafe { ffi::PyErr_SetInterrupt() };
    }
    outcome
}

/// The newest Python that was tested, 3.`NEWEST`.
pub const NEWEST: u32 = 15;

/// Whether this Python is 3.`minor` or newer.
pub fn is_since(minor: u32) -> bool {
    // SAFETY: a constant of the interpreter's.
    unsafe { ffi::Py_Version as u32 >= 0x0300_0000 | minor << 16 }
}

/// Checks the keywords that `method`, which stands in place of one of asyncio's, does not know. A Python newer than those that were
/// tested may have added some; the package has warned of such a one when it was imported.
///
/// # Errors
/// `TypeError`, in Python's words, if there are any and this Python is known.
pub fn check_options(method: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    match options.and_then(|options| options.keys().iter().next()) {
        Some(keyword) if !is_since(NEWEST + 1) => {
            Err(PyTypeError::new_err(format!("{method}() got an unexpected keyword argument '{keyword}'")))
        }
        _ => Ok(()),
    }
}

/// Whether a socket's method says by this that it cannot do it now.
pub fn would_block(py: Python<'_>, error: &PyErr) -> bool {
    // Asked of the exception itself: before Python 3.12 pyo3 takes one for an OSError if it was made as that.
    let error = error.value(py);
    error.is_instance_of::<PyBlockingIOError>() || error.is_instance_of::<PyInterruptedError>()
}

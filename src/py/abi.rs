//! What every function needs that Python calls without pyo3 in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

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

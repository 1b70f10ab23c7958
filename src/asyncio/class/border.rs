//! What calls between Rust and Python need beside pyo3.

use std::ffi::{c_int, c_ulong};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::panics::contain;

/// Runs the body of a C function that Python calls: an error becomes the pending exception, and so
/// does a panic, which must not unwind into C.
pub fn guard(body: impl FnOnce(Python<'_>) -> PyResult<*mut ffi::PyObject>) -> *mut ffi::PyObject {
    // SAFETY: Python calls with the GIL held.
    let py = unsafe { Python::assume_attached() };
    caught(|| body(py)).unwrap_or_else(|error| {
        error.restore(py);
        ptr::null_mut()
    })
}

/// Calls `body`. A panic becomes an error, and ends nothing else.
///
/// # Errors
/// What `body` returns; `RuntimeError` if it panics.
pub fn caught<R>(body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let mut outcome = None;
    contain(|| outcome = Some(body()));
    outcome.unwrap_or_else(|| {
        Err(PyRuntimeError::new_err("qtloop: internal error (a Rust panic; see stderr)"))
    })
}

/// As [`guard`], for a function that returns only whether it has failed.
pub fn guard_set(body: impl FnOnce(Python<'_>) -> PyResult<()>) -> c_int {
    let none = guard(|py| body(py).map(|()| py.None().into_ptr()));
    if none.is_null() {
        return -1;
    }
    // SAFETY: the reference that was just made.
    unsafe { ffi::Py_DECREF(none) };
    0
}

/// Calls `body` in a C function that Python calls, so that references that `body` drops are dropped
/// at once. pyo3 does that only while the interpreter runs: when the interpreter is about to end,
/// they are leaked.
pub fn attached<R>(body: impl Fn(Python<'_>) -> R) -> R {
    // SAFETY: Python calls with the GIL held.
    Python::try_attach(&body).unwrap_or_else(|| body(unsafe { Python::assume_attached() }))
}

/// How often a call is made that fails each time. An exception of a signal handler comes now and
/// then; a fault comes each time.
const ATTEMPTS: usize = 8;

/// Makes a call that may be repeated, and repeats it if it fails: the handler of a signal may have
/// raised its exception in the middle of the call. Returns the outcome, and the exceptions that
/// came before it. If the call fails each time, its first exception is the outcome.
pub fn again<R>(mut call: impl FnMut() -> PyResult<R>) -> (PyResult<R>, Vec<PyErr>) {
    let mut interrupts = Vec::new();
    loop {
        match call() {
            Ok(result) => return (Ok(result), interrupts),
            Err(error) => interrupts.push(error),
        }
        if interrupts.len() == ATTEMPTS {
            return (Err(interrupts.swap_remove(0)), Vec::new());
        }
    }
}

/// A Python int of a size.
///
/// # Errors
/// `MemoryError`, where pyo3's own conversion panics.
pub fn to_int(py: Python<'_>, size: usize) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromSize_t(size)) }
}

/// A Python float.
///
/// # Errors
/// As [`to_int`].
pub fn to_float(py: Python<'_>, number: f64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: as above.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyFloat_FromDouble(number)) }
}

/// A Python string.
///
/// # Errors
/// As [`to_int`].
pub fn to_text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the memory and the length of UTF-8; a new reference, or null with an exception set.
    unsafe {
        let object =
            ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t);
        Bound::from_owned_ptr_or_err(py, object)
    }
}

/// The newest Python that was tested, 3.`NEWEST`.
pub const NEWEST: u32 = 15;

/// Whether this Python is 3.`minor` or newer.
pub fn is_since(minor: u32) -> bool {
    // SAFETY: a constant of the interpreter's.
    unsafe { ffi::Py_Version >= (0x0300_0000 | minor << 16) as c_ulong }
}

//! Contexts of the module `contextvars`: made, entered, left.

use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;

/// A copy of the current context.
pub fn current_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// A copy of a context.
pub fn copy_context<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: what is no context is refused with an exception; a new reference, or null with an
    // exception set.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }
}

/// Calls with `context` entered.
///
/// # Errors
/// What `call` returns, or Python's if it is no context, or one that is entered already.
pub fn in_context<T>(
    context: &Bound<'_, PyAny>,
    call: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let py = context.py();
    // SAFETY: the object is live; one that is no context is refused by Python with an exception.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    let inside = Inside(context);
    let outcome = call();
    let left = inside.leave();
    outcome.and_then(|outcome| left.map(|()| outcome))
}

/// A context that was entered. It is exited also by a panic.
struct Inside<'a, 'py>(&'a Bound<'py, PyAny>);

impl Inside<'_, '_> {
    /// Exits the context.
    fn leave(self) -> PyResult<()> {
        ManuallyDrop::new(self).exit()
    }

    fn exit(&self) -> PyResult<()> {
        // SAFETY: a live object; Python refuses, with an exception, to exit what is not the current
        // context.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } < 0 {
            return Err(PyErr::fetch(self.0.py()));
        }
        Ok(())
    }
}

impl Drop for Inside<'_, '_> {
    fn drop(&mut self) {
        let _exited = self.exit();
    }
}

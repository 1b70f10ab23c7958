//! How a handle is run.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::layout::{Offsets, types};
use super::lock::locked_by;
use crate::asyncio::class::memory::member;
use crate::asyncio::context::in_context;

/// Calls the handle's callback in its context, unless the handle was cancelled. `running` holds
/// that context meanwhile.
///
/// # Errors
/// What the callback raised.
pub fn run(handle: &Bound<'_, PyAny>, running: &Cell<*mut ffi::PyObject>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    if !types.knows(handle.as_ptr()) {
        return entered(running, py.None().as_ptr(), || handle.call_method0("_run").map(drop));
    }
    // Without its lock: most were not cancelled, and have none.
    if is_cancelled(handle, &types.offsets) {
        return Ok(());
    }
    locked_by(types, handle, || run_callback(handle, &types.offsets, running))
}

/// Whether a handle with these members was cancelled.
fn is_cancelled(handle: &Bound<'_, PyAny>, offsets: &Offsets) -> bool {
    // SAFETY: the caller's handle has this member.
    unsafe { ptr::eq(*member(handle.as_ptr(), offsets.cancelled), ffi::Py_True()) }
}

fn run_callback(
    handle: &Bound<'_, PyAny>,
    offsets: &Offsets,
    running: &Cell<*mut ffi::PyObject>,
) -> PyResult<()> {
    let py = handle.py();
    // Another thread may have cancelled it before we had its lock.
    if is_cancelled(handle, offsets) {
        return Ok(());
    }
    // SAFETY: the object has these members. Each value read is kept by a reference of our own,
    // since the callback may cancel its handle; a null (an attribute that somebody deleted) ends
    // here as an error.
    unsafe {
        let own = |offset| Bound::from_borrowed_ptr_or_err(py, *member(handle.as_ptr(), offset));
        let (callback, args, context) =
            (own(offsets.callback)?, own(offsets.args)?, own(offsets.context)?);
        entered(running, context.as_ptr(), || in_context(&context, || call(&callback, &args)))
    }
}

/// Calls with `running` set to `context`, a borrowed reference that must outlive the call.
pub fn entered<R>(
    running: &Cell<*mut ffi::PyObject>,
    context: *mut ffi::PyObject,
    call: impl FnOnce() -> R,
) -> R {
    let _entered = Entered { running, around: running.replace(context) };
    call()
}

/// Restores, also after a panic, what ran before.
struct Entered<'a> {
    running: &'a Cell<*mut ffi::PyObject>,
    around: *mut ffi::PyObject,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.running.set(self.around);
    }
}

fn call(callback: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>) -> PyResult<()> {
    match args.cast::<PyTuple>() {
        Ok(args) => callback.call1(args),
        // Somebody has set the attribute. The stock handle calls with any iterable.
        Err(_) => callback
            .call1(PyTuple::new(args.py(), args.try_iter()?.collect::<PyResult<Vec<_>>>()?)?),
    }
    .map(drop)
}

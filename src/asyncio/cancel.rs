//! Cancelling a handle. This is the one thing that a handle does to its loop.
//!
//! This file stands above both. It hands its methods down when the classes of handles are made.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::class::border::guard;
use super::class::methods::{Definitions, simple};
use super::event_loop::Loop;
use super::handle::{self, Methods, REDUCE, locked};

/// The methods that cancel, for the classes of handles.
pub static METHODS: Methods = Methods { handle: &HANDLE, threadsafe: &THREADSAFE };

static HANDLE: Definitions<ffi::PyMethodDef> = Definitions(&[
    simple(
        c"cancel",
        cancel,
        ffi::METH_NOARGS,
        c"cancel($self, /)\n--\n\n\
            Cancel the callback. Cancelling twice, or after it has run, does nothing.",
    ),
    REDUCE,
    ffi::PyMethodDef::zeroed(),
]);

static THREADSAFE: Definitions<ffi::PyMethodDef> = Definitions(&[
    simple(
        c"cancel",
        cancel,
        ffi::METH_NOARGS,
        c"cancel($self, /)\n--\n\n\
            Cancel the callback, from any thread. If it runs in another one, wait for its end.",
    ),
    simple(
        c"cancelled",
        cancelled,
        ffi::METH_NOARGS,
        c"cancelled($self, /)\n--\n\n\
            Whether it was cancelled. If it runs in another thread, wait for its end.",
    ),
    ffi::PyMethodDef::zeroed(),
]);

unsafe extern "C" fn cancel(
    handle: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of one of our classes.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        locked(&handle, || cancel_handle(&handle))?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn cancelled(
    handle: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        let mut is_cancelled = false;
        locked(&handle, || {
            is_cancelled = handle::is_cancelled(py, handle.as_unbound());
            Ok(())
        })?;
        Ok(PyBool::new(py, is_cancelled).to_owned().into_any().into_ptr())
    })
}

fn cancel_handle(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    if handle::is_cancelled(handle.py(), handle.as_unbound()) {
        return Ok(());
    }
    handle::set_cancelled(handle)?;
    let event_loop = handle::event_loop(handle)?;
    if let Some(event_loop) =
        event_loop.as_ref().and_then(|event_loop| event_loop.cast::<Loop>().ok())
    {
        let event_loop = event_loop.get();
        if let Some(key) = handle::timer_key(handle) {
            event_loop.forget_timer(handle, key)?;
        }
        if event_loop.is_debugging() {
            // A warning about a slow callback is still to name what was cancelled.
            handle::set_repr(handle, handle.repr()?.into_any())?;
        }
    }
    handle::forget_callback(handle)
}

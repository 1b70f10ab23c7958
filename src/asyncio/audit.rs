//! Python's audit hooks.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

unsafe extern "C" {
    /// Python's function that calls the audit hooks. It builds the arguments only if there are
    /// hooks.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// Tells the hooks that a socket is about to be connected, as Python's own method does. A hook may
/// refuse the connection.
///
/// # Errors
/// What a hook raises.
pub fn connect(socket: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the format describes the two live objects that follow.
    let refused = unsafe {
        PySys_Audit(c"socket.connect".as_ptr(), c"OO".as_ptr(), socket.as_ptr(), address.as_ptr())
    };
    if refused < 0 { Err(PyErr::fetch(socket.py())) } else { Ok(()) }
}

/// Whether there are hooks. None of them is called.
pub fn has_hooks(_py: Python<'_>) -> bool {
    /// Makes the argument of the event: only if there are hooks, and it fails, before any is
    /// called.
    unsafe extern "C" fn fail(_: *mut c_void) -> *mut ffi::PyObject {
        // SAFETY: Python calls it within `has_hooks`, with the GIL held.
        unsafe { ffi::PyErr_SetNone(ffi::PyExc_RuntimeError) };
        ptr::null_mut()
    }
    type Make = unsafe extern "C" fn(*mut c_void) -> *mut ffi::PyObject;
    let make: Make = fail;
    // SAFETY: the GIL is held, and no exception is set. The format says that a function that makes
    // the argument follows, and what that is called with.
    unsafe {
        let format = c"O&".as_ptr();
        let is_made =
            PySys_Audit(c"socket.connect".as_ptr(), format, make, ptr::null_mut::<c_void>());
        if is_made < 0 {
            ffi::PyErr_Clear();
        }
        is_made < 0
    }
}

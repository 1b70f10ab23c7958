//! `ThreadSafeHandle`: what `call_soon_threadsafe` returns from Python 3.14 on, so that any thread can cancel it.
//!
//! As with asyncio's own, a lock is held while the callback runs. A thread that cancels it meanwhile, or asks whether it was
//! cancelled, waits until the callback has ended; the callback itself may do both.

use std::ptr;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyType};

use super::memory::{free, member};
use super::types::{Spares, Types, derive, offset, size, types};
use super::{Call, cancel_handle};
use crate::py::abi::guard;
use crate::py::extension::Table;
use crate::py::trash;

/// The class, and what is needed to make one of it.
pub struct ThreadSafe {
    pub class: Py<PyType>,
    /// Where its lock stands.
    pub lock: usize,
    new_lock: Py<PyAny>,
    pub spares: Spares,
}

impl ThreadSafe {
    /// `None` if this Python's `call_soon_threadsafe` returns a handle like any other.
    pub fn new(events: &Bound<'_, PyModule>) -> PyResult<Option<ThreadSafe>> {
        let py = events.py();
        let Some(base) = events.getattr_opt("_ThreadSafeHandle")? else { return Ok(None) };
        let base = base.cast_into::<PyType>()?;
        Ok(Some(ThreadSafe {
            lock: offset(&base, "_lock")?,
            class: derive(&base, c"qtloop._core.ThreadSafeHandle", size(&base)?, dealloc, &METHODS)?,
            new_lock: py.import("threading")?.getattr("RLock")?.unbind(),
            spares: Spares::default(),
        }))
    }

    /// Whether the object is one of these.
    pub fn is_one(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.class.as_ptr().cast())
    }
}

impl<'py> Call<'_, 'py> {
    /// Makes a handle that any thread may cancel. Before Python 3.14 they are all alike.
    pub fn into_threadsafe_handle(self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        let Some(threadsafe) = &types.threadsafe else { return self.into_handle() };
        let lock = threadsafe.new_lock.bind(py).call0()?;
        let handle = self.into_handle_of(&threadsafe.class, &threadsafe.spares)?;
        // SAFETY: the object is new and of this class, whose member is null.
        unsafe { *member(handle.as_ptr(), threadsafe.lock) = lock.into_ptr() };
        Ok(handle)
    }
}

/// Does something with the handle's lock held, if it has one.
pub fn locked<R>(handle: &Bound<'_, PyAny>, types: &Types, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let py = handle.py();
    let Some(threadsafe) = types.threadsafe.as_ref().filter(|threadsafe| threadsafe.is_one(handle.as_ptr())) else {
        return body();
    };
    // SAFETY: an instance of the class has this member; one that somebody deleted ends here as an error.
    let lock = unsafe { Bound::from_borrowed_ptr_or_err(py, *member(handle.as_ptr(), threadsafe.lock))? };
    lock.call_method0(intern!(py, "acquire"))?;
    let outcome = body();
    let released = lock.call_method0(intern!(py, "release"));
    outcome.and_then(|outcome| released.map(|_| outcome))
}

static METHODS: Table<ffi::PyMethodDef> = Table(&[
    ffi::PyMethodDef {
        ml_name: c"cancel".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: cancel },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"cancel($self, /)\n--\n\nCancel the callback, from any thread. If it runs in another one, wait for its end."
            .as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"cancelled".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: cancelled },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"cancelled($self, /)\n--\n\nWhether it was cancelled. If it runs in another thread, wait for its end."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

unsafe extern "C" fn cancel(handle: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        locked(&handle, types(py)?, || cancel_handle(&handle))?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn cancelled(handle: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        let is_cancelled = locked(&handle, types(py)?, || Ok(super::is_cancelled(py, handle.as_unbound())))?;
        Ok(PyBool::new(py, is_cancelled).to_owned().into_any().into_ptr())
    })
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of the class, with no reference left.
    unsafe {
        trash::free(object, |object| {
            free(object, |types| types.threadsafe.as_ref().map(|threadsafe| &threadsafe.spares))
        })
    }
}

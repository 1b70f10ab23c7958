//! The memory of an operation, as a Python object.

use std::ops::Deref;
use std::ptr;

use pyo3::exceptions::{PyImportError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyType};

use super::state::Operation;
use crate::asyncio::class::memory::allocate;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::plain_socket;

/// An operation as a Python object.
#[repr(C)]
pub struct Object {
    pub header: ffi::PyObject,
    pub operation: Operation,
}

/// Objects that are looked up once.
pub struct Known {
    class: Py<PyType>,
    pub check_ssl_socket: Py<PyAny>,
    /// asyncio's own method.
    ensure_resolved: Py<PyAny>,
    future: Py<PyAny>,
}

static KNOWN: PyOnceLock<Known> = PyOnceLock::new();

/// The objects that are looked up once.
///
/// # Errors
/// `ImportError` if they were not looked up. That happens when the module is imported.
pub fn known(py: Python<'_>) -> PyResult<&'static Known> {
    KNOWN.get(py).ok_or_else(|| PyImportError::new_err("qtloop._core was not imported"))
}

/// Looks the objects up. `class` is the class of operations.
pub fn look_up(class: Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    plain_socket::look_up(py)?;
    KNOWN.get_or_try_init(py, || Known::new(class)).map(drop)
}

impl Known {
    fn new(class: Bound<'_, PyType>) -> PyResult<Known> {
        let py = class.py();
        let stock = py.import("asyncio.base_events")?.getattr("BaseEventLoop")?;
        Ok(Known {
            class: class.unbind(),
            ensure_resolved: stock.getattr("_ensure_resolved")?.unbind(),
            check_ssl_socket: py
                .import("asyncio.base_events")?
                .getattr("_check_ssl_socket")?
                .unbind(),
            future: py.import("asyncio.futures")?.getattr("Future")?.unbind(),
        })
    }

    /// Whether the loop looks addresses up by asyncio's own method.
    pub fn resolves_as_stock(&self, event_loop: &Bound<'_, Loop>) -> PyResult<bool> {
        let py = event_loop.py();
        let method = event_loop.getattr(intern!(py, "_ensure_resolved"))?;
        let function = method.getattr_opt(intern!(py, "__func__"))?;
        Ok(function.is_some_and(|function| function.is(self.ensure_resolved.bind(py))))
    }

    /// A future that is about to be awaited.
    pub fn new_future<'py>(&self, event_loop: &Bound<'py, Loop>) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let options = [(intern!(py, "loop"), event_loop)].into_py_dict(py)?;
        let future = self.future.bind(py).call((), Some(&options))?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        Ok(future)
    }
}

/// A Python reference to an operation.
#[repr(transparent)]
pub struct This<'py>(Bound<'py, PyAny>);

impl<'py> This<'py> {
    /// Makes the object.
    pub fn new(operation: Operation, py: Python<'py>) -> PyResult<This<'py>> {
        let known = known(py)?;
        // SAFETY: the class is live and its objects are `Object`s with a collector's header. Filled
        // before anyone sees it.
        unsafe {
            let object = match allocate(py, known.class.as_ptr().cast(), None) {
                Ok(object) => object,
                Err(error) => {
                    operation.clear(py);
                    return Err(error);
                }
            };
            (&raw mut (*object.cast::<Object>()).operation).write(operation);
            ffi::PyObject_GC_Track(object.cast());
            Ok(This(Bound::from_owned_ptr(py, object)))
        }
    }

    /// The object as an operation.
    ///
    /// # Errors
    /// `TypeError` if it is none.
    pub fn of<'a>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a This<'py>> {
        if !object.is_exact_instance(known(object.py())?.class.bind(object.py())) {
            return Err(PyTypeError::new_err("not an operation on a socket"));
        }
        // SAFETY: a transparent wrapper of an object that was just checked to be an instance.
        Ok(unsafe { &*ptr::from_ref(object).cast::<This<'py>>() })
    }

    /// # Safety
    /// `object` is a live instance of the class.
    pub unsafe fn borrowed(py: Python<'py>, object: *mut ffi::PyObject) -> This<'py> {
        // SAFETY: the caller's promise.
        This(unsafe { Bound::from_borrowed_ptr(py, object) })
    }

    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    pub fn into_ptr(self) -> *mut ffi::PyObject {
        self.0.into_ptr()
    }

    pub fn py(&self) -> Python<'py> {
        self.0.py()
    }
}

impl Deref for This<'_> {
    type Target = Operation;
    fn deref(&self) -> &Operation {
        // SAFETY: an instance of the class, filled when it was made.
        unsafe { operation_of(self.0.as_ptr()) }
    }
}

/// # Safety
/// `object` is an instance of the class, which outlives the reference.
pub unsafe fn operation_of<'a>(object: *mut ffi::PyObject) -> &'a Operation {
    // SAFETY: the caller's promise.
    unsafe { &(*object.cast::<Object>()).operation }
}

/// Drops the members of the object, and frees its memory.
///
/// # Safety
/// `object` is an instance of the class, with no reference left.
pub unsafe fn free(object: *mut ffi::PyObject) {
    // SAFETY: objects are deallocated with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller's promise; this is the order that Python prescribes: untrack, members,
    // memory, type.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        operation_of(object).clear(py);
        ptr::drop_in_place(&raw mut (*object.cast::<Object>()).operation);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// The argument after the socket.
pub fn argument<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    this.part(this.py(), |parts| parts.first.as_ref().unwrap_or(&parts.socket))
}

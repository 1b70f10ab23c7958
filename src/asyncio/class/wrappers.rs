//! C functions around Rust functions that take an [`Instance`](super::extension::Instance): entries
//! of the tables.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;

/// What a method of an extension returns.
pub trait Returned {
    /// The object that Python gets: a new reference.
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject;
}

impl Returned for () {
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject {
        py.None().into_ptr()
    }
}

impl Returned for bool {
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject {
        PyBool::new(py, self).to_owned().into_ptr()
    }
}

impl Returned for usize {
    fn into_object(self, _: Python<'_>) -> *mut ffi::PyObject {
        // SAFETY: a new reference, or null with an exception set.
        unsafe { ffi::PyLong_FromSize_t(self) }
    }
}

impl<T> Returned for Bound<'_, T> {
    fn into_object(self, _: Python<'_>) -> *mut ffi::PyObject {
        self.into_ptr()
    }
}

/// An entry of a table of methods: the C function around a Rust one that takes an
/// [`Instance`](super::extension::Instance) and nothing (`none`), one object (`one`), or
/// [`Arguments`](crate::asyncio::class::arguments::Arguments) (`any`).
macro_rules! method {
    (none $name:literal, $function:path, $doc:literal) => {{
        unsafe extern "C" fn call(
            this: *mut pyo3::ffi::PyObject,
            _: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|py| {
                // SAFETY: Python passes a live object, whose class the descriptor has checked.
                let this = unsafe { pyo3::Bound::from_borrowed_ptr(py, this) };
                let returned = $function($crate::asyncio::class::extension::Instance::of(&this)?)?;
                Ok($crate::asyncio::class::wrappers::Returned::into_object(returned, py))
            })
        }
        $crate::asyncio::class::methods::simple($name, call, pyo3::ffi::METH_NOARGS, $doc)
    }};
    (one $class:literal, $name:literal, $parameter:literal, $function:path, $doc:literal) => {
        $crate::asyncio::class::wrappers::method!(
            fast $class, $name, $doc,
            |py, this, arguments| $function(
                $crate::asyncio::class::extension::Instance::of(&this)?,
                &arguments.only(py, $parameter)?
            )
        )
    };
    (any $class:literal, $name:literal, $function:path, $doc:literal) => {
        $crate::asyncio::class::wrappers::method!(
            fast $class, $name, $doc,
            |py, this, arguments| $function(
                $crate::asyncio::class::extension::Instance::of(&this)?,
                &arguments
            )
        )
    };
    (
        fast $class:literal, $name:literal, $doc:literal,
        |$py:ident, $this:ident, $arguments:ident| $call:expr
    ) => {{
        unsafe extern "C" fn call(
            this: *mut pyo3::ffi::PyObject,
            args: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|$py| {
                // SAFETY: Python's own arguments of the call under way; the descriptor has checked
                // the object's class.
                let ($this, $arguments) = unsafe {
                    (
                        pyo3::Bound::from_borrowed_ptr($py, this),
                        $crate::asyncio::class::arguments::Arguments::new(
                            $class, $name, args, count, keywords,
                        ),
                    )
                };
                Ok($crate::asyncio::class::wrappers::Returned::into_object($call?, $py))
            })
        }
        $crate::asyncio::class::methods::fast($name, call, $doc)
    }};
}

/// An entry of a table of properties. The first function reads the property of an
/// [`Instance`](super::extension::Instance). The second one, if given, sets it; it gets `None` if
/// the property is deleted.
macro_rules! property {
    ($name:literal, $get:path, $set:path) => {{
        unsafe extern "C" fn set(
            this: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            $crate::asyncio::class::border::guard_set(|py| {
                // SAFETY: Python passes live objects, and has checked the class of the first; null
                // for a value that is deleted.
                let (this, value) = unsafe {
                    (
                        pyo3::Bound::from_borrowed_ptr(py, this),
                        pyo3::Bound::from_borrowed_ptr_or_opt(py, value),
                    )
                };
                $set($crate::asyncio::class::extension::Instance::of(&this)?, value)
            })
        }
        pyo3::ffi::PyGetSetDef { set: Some(set), ..property!($name, $get) }
    }};
    ($name:literal, $function:path) => {{
        unsafe extern "C" fn get(
            this: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|py| {
                // SAFETY: Python passes a live object, whose class the descriptor has checked.
                let this = unsafe { pyo3::Bound::from_borrowed_ptr(py, this) };
                let returned = $function($crate::asyncio::class::extension::Instance::of(&this)?)?;
                Ok($crate::asyncio::class::wrappers::Returned::into_object(returned, py))
            })
        }
        $crate::asyncio::class::methods::getter($name, get)
    }};
}

pub(crate) use {method, property};

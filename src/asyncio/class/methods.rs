//! Methods and properties of classes: the definitions that Python reads.

use std::ffi::{CStr, c_int};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// Definitions that Python reads until the process ends.
pub struct Definitions<T: 'static>(pub &'static [T]);

// SAFETY: a constant table of pointers to statics.
unsafe impl<T> Sync for Definitions<T> {}

/// Adds methods to a class.
pub fn add_methods(
    class: &Bound<'_, PyType>,
    methods: &'static Definitions<ffi::PyMethodDef>,
) -> PyResult<()> {
    for method in methods.0 {
        let method = ptr::from_ref(method).cast_mut();
        // SAFETY: the definition is static and the class live; a new reference, or null with an
        // exception set.
        let descriptor = unsafe {
            Bound::from_owned_ptr_or_err(
                class.py(),
                ffi::PyDescr_NewMethod(class.as_type_ptr(), method),
            )?
        };
        class.setattr(descriptor.getattr("__name__")?.cast::<PyString>()?, &descriptor)?;
    }
    Ok(())
}

/// Adds properties to a class. The table ends with [`LAST_PROPERTY`].
pub fn add_properties(
    class: &Bound<'_, PyType>,
    properties: &'static Definitions<ffi::PyGetSetDef>,
) -> PyResult<()> {
    for property in properties.0.iter().take_while(|property| !property.name.is_null()) {
        let property = ptr::from_ref(property).cast_mut();
        // SAFETY: the definition is static and the class live; a new reference, or null with an
        // exception set.
        let descriptor = unsafe {
            Bound::from_owned_ptr_or_err(
                class.py(),
                ffi::PyDescr_NewGetSet(class.as_type_ptr(), property),
            )?
        };
        class.setattr(descriptor.getattr("__name__")?.cast::<PyString>()?, &descriptor)?;
    }
    Ok(())
}

/// A C function that is called with [`Arguments`](super::arguments::Arguments).
pub type FastCall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// The definition of a method that takes [`Arguments`](super::arguments::Arguments).
pub const fn fast(name: &'static CStr, function: FastCall, doc: &'static CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }
}

/// The definition of a method that takes nothing (`METH_NOARGS`) or one object (`METH_O`).
pub const fn simple(
    name: &'static CStr,
    function: ffi::PyCFunction,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

/// The definition of a property that can be read.
pub const fn getter(name: &'static CStr, get: ffi::getter) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: ptr::null(),
        closure: ptr::null_mut(),
    }
}

/// The end of a table of properties: a definition without a name.
pub const LAST_PROPERTY: ffi::PyGetSetDef = ffi::PyGetSetDef {
    name: ptr::null(),
    get: None,
    set: None,
    doc: ptr::null(),
    closure: ptr::null_mut(),
};

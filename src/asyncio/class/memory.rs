//! The memory of objects whose classes are made here.
//!
//! Such an object begins with Python's header. Behind that stand the members of its base, each null
//! or an owned reference, and what its own class adds.

use std::cell::RefCell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// The member at `offset`.
///
/// # Safety
/// `object` is a live object with a member there.
pub unsafe fn member(object: *mut ffi::PyObject, offset: usize) -> *mut *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe { object.byte_add(offset).cast() }
}

/// Puts the owned `value` into a member and drops what the member held before.
///
/// # Safety
/// As [`member`]; `value` is an owned reference or null.
pub unsafe fn replace(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: the caller's promise. The member holds its new value before the old one is dropped,
    // which may run any code.
    unsafe {
        let old = member(object, offset).replace(value);
        ffi::Py_XDECREF(old);
    }
}

/// Memory of freed objects of one class, kept for reuse: untracked, emptied, with no reference to
/// the class. The classes that use it say what it gains.
#[derive(Default)]
pub struct Spares(RefCell<Vec<*mut ffi::PyObject>>);

// SAFETY: touched only with the GIL held (the module declares that it uses the GIL), for moments in
// which nothing else runs.
unsafe impl Send for Spares {}
// SAFETY: as above.
unsafe impl Sync for Spares {}

impl Spares {
    /// Keeps the memory, unless `most` objects are kept already. Returns whether it did.
    pub fn keep(&self, object: *mut ffi::PyObject, most: usize) -> bool {
        let mut spares = self.0.borrow_mut();
        let has_room = spares.len() < most;
        if has_room {
            spares.push(object);
        }
        has_room
    }
}

/// Memory for a new object of `class`: one reference, not tracked by the garbage collector. Behind
/// the header a spare has what was left there when it was kept, and fresh memory has zeros, which
/// is what an empty member is.
///
/// # Errors
/// `MemoryError`.
///
/// # Safety
/// `class` is a class of objects with a collector's header, and `spares` are such objects.
#[inline]
pub unsafe fn allocate(
    py: Python<'_>,
    class: *mut ffi::PyTypeObject,
    spares: Option<&Spares>,
) -> PyResult<*mut ffi::PyObject> {
    let spare = spares.and_then(|spares| spares.0.borrow_mut().pop());
    if let Some(spare) = spare {
        // SAFETY: a spare is untracked memory of this class.
        unsafe { ffi::PyObject_Init(spare, class) };
        return Ok(spare);
    }
    // SAFETY: the caller's promise. Returns memory for an object, or null with an exception set;
    // what lies behind the object's own header is ours to fill.
    unsafe {
        let fresh = ffi::PyObject_GC_New::<ffi::PyObject>(class);
        if fresh.is_null() {
            return Err(PyErr::fetch(py));
        }
        let header = size_of::<ffi::PyObject>();
        ptr::write_bytes(
            fresh.byte_add(header).cast::<u8>(),
            0,
            (*class).tp_basicsize as usize - header,
        );
        Ok(fresh)
    }
}

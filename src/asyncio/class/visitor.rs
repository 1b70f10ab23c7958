//! Python's garbage collector, asking an object for its references.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// The garbage collector, asking an instance for its references.
pub struct Visitor {
    visit: ffi::visitproc,
    arg: *mut c_void,
    outcome: c_int,
}

impl Visitor {
    pub fn new(visit: ffi::visitproc, arg: *mut c_void) -> Visitor {
        Visitor { visit, arg, outcome: 0 }
    }

    /// What the collector has answered: not 0 if it wants no more.
    pub fn outcome(&self) -> c_int {
        self.outcome
    }

    /// Shows it one reference.
    pub fn see(&mut self, object: Option<&Py<PyAny>>) {
        self.see_raw(object.map_or(ptr::null_mut(), Py::as_ptr));
    }

    /// Shows it one reference, or null.
    pub fn see_raw(&mut self, object: *mut ffi::PyObject) {
        if self.outcome == 0 && !object.is_null() {
            // SAFETY: the collector's own function, called with a live object.
            self.outcome = unsafe { (self.visit)(object, self.arg) };
        }
    }
}

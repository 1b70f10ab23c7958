//! The state of a TLS connection under the names by which asyncio's own class knows it.
//!
//! The stock class reads and writes these attributes. A descriptor stands for each of them. So
//! there is one state, and Rust reads it without a look into a dictionary.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::engine::Engine;
use super::names::{FLAGS, OBJECTS};
use crate::asyncio::class::border::{guard, guard_set};
use crate::asyncio::class::methods::{Definitions, LAST_PROPERTY, getter};

/// How many bytes of the backlog wait to be encrypted.
const SIZE: &CStr = c"_write_buffer_size";

const COUNT: usize = OBJECTS.len() + FLAGS.len() + 1;

const fn name(n: usize) -> &'static CStr {
    if n < OBJECTS.len() {
        OBJECTS[n].1
    } else if n < OBJECTS.len() + FLAGS.len() {
        FLAGS[n - OBJECTS.len()]
    } else {
        SIZE
    }
}

pub static PROPERTIES: Definitions<ffi::PyGetSetDef> = Definitions(&definitions());

const fn definitions() -> [ffi::PyGetSetDef; COUNT + 1] {
    let mut all = [LAST_PROPERTY; COUNT + 1];
    let mut n = 0;
    while n < COUNT {
        let closure = ptr::without_provenance_mut(n);
        all[n] = ffi::PyGetSetDef { set: Some(set), closure, ..getter(name(n), get) };
        n += 1;
    }
    all
}

unsafe extern "C" fn get(this: *mut ffi::PyObject, n: *mut c_void) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live object, whose class the descriptor has checked.
        let this = unsafe { Bound::from_borrowed_ptr(py, this) };
        let engine = this.cast::<Engine>()?.get();
        let n = n.addr();
        if let Some((object, _)) = OBJECTS.get(n) {
            return Ok(engine.object(py, *object)?.into_ptr());
        }
        match FLAGS.get(n - OBJECTS.len()) {
            Some(_) => {
                let flag = engine.flags[n - OBJECTS.len()].get();
                Ok(PyBool::new(py, flag).to_owned().into_any().into_ptr())
            }
            None => Ok(engine.backlog_size.get().into_pyobject(py)?.into_any().into_ptr()),
        }
    })
}

unsafe extern "C" fn set(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    n: *mut c_void,
) -> c_int {
    guard_set(|py| {
        // SAFETY: Python passes live objects, and has checked the class of the first; null for a
        // value that is deleted.
        let (this, value) = unsafe {
            (Bound::from_borrowed_ptr(py, this), Bound::from_borrowed_ptr_or_opt(py, value))
        };
        let engine = this.cast::<Engine>()?.get();
        let n = n.addr();
        if let Some((object, _)) = OBJECTS.get(n) {
            return engine.set_object(py, *object, value);
        }
        let Some(value) = value else {
            return Err(PyAttributeError::new_err(name(n).to_str().unwrap_or_default()));
        };
        match FLAGS.get(n - OBJECTS.len()) {
            Some(_) => engine.flags[n - OBJECTS.len()].set(value.is_truthy()?),
            None => engine.backlog_size.set(value.extract()?),
        }
        Ok(())
    })
}

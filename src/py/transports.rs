//! Which fds are in a transport's hands.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::core::Fd;

/// A loop's transports by fd. It keeps none alive: a transport is removed before it is freed.
#[derive(Default)]
pub struct Transports(RefCell<HashMap<Fd, *mut ffi::PyObject>>);

impl Transports {
    /// The transport uses the fd from now on.
    pub fn insert(&self, fd: Fd, transport: &Bound<'_, PyAny>) {
        self.0.borrow_mut().insert(fd, transport.as_ptr());
    }

    /// The transport uses the fd no more.
    pub fn remove(&self, fd: Fd, transport: &Bound<'_, PyAny>) {
        let mut transports = self.0.borrow_mut();
        if transports.get(&fd).is_some_and(|found| ptr::eq(*found, transport.as_ptr())) {
            transports.remove(&fd);
        }
    }

    /// Checks that no transport uses the fd, a number or an object that has one.
    ///
    /// # Errors
    /// `ValueError` if it is neither, `RuntimeError` if one does.
    pub fn check_free(&self, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        let number = if fd.is_instance_of::<PyInt>() { fd.extract::<Fd>().ok() } else { Some(number_of(fd)?) };
        match number.map_or(Ok(None), |number| self.user(fd.py(), number))? {
            Some(transport) => Err(used(fd, &transport)?),
            None => Ok(()),
        }
    }

    /// As [`check_free`](Transports::check_free), for a number.
    ///
    /// # Errors
    /// `RuntimeError` if a transport uses it.
    pub fn check_number(&self, py: Python<'_>, number: Fd) -> PyResult<()> {
        match self.user(py, number)? {
            Some(transport) => Err(used(number.into_pyobject(py)?.as_any(), &transport)?),
            None => Ok(()),
        }
    }

    /// The transport that uses the fd.
    fn user<'py>(&self, py: Python<'py>, number: Fd) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(found) = self.0.borrow().get(&number).copied() else { return Ok(None) };
        // SAFETY: a transport in the table lives.
        let transport = unsafe { Bound::from_borrowed_ptr(py, found) };
        let is_closing = transport.call_method0("is_closing")?.is_truthy()?;
        Ok((!is_closing).then_some(transport))
    }
}

fn used(fd: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let message = format!("File descriptor {} is used by transport {}", fd.repr()?, transport.repr()?);
    Ok(PyRuntimeError::new_err(message))
}

fn number_of(fd: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let number = fd.call_method0("fileno").and_then(|number| number.extract());
    number.map_err(|_| match fd.repr() {
        Ok(fd) => PyValueError::new_err(format!("Invalid file object: {fd}")),
        Err(error) => error,
    })
}

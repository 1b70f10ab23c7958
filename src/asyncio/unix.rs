//! What of the module only Unixes have: the I/O that is Rust's, the contract of hosts, forks.

use std::rc::Rc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use super::host::{PythonHost, from_python};
use super::{sock, tls, transport};

/// Adds it to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    transport::register(module)?;
    tls::register(module)?;
    sock::register(module)?;
    let after_fork = wrap_pyfunction!(after_fork, module)?;
    let in_child = [("after_in_child", after_fork)].into_py_dict(py)?;
    py.import("os")?.getattr("register_at_fork")?.call((), Some(&in_child))?;
    module.add_function(wrap_pyfunction!(check_host, module)?)
}

#[pyfunction]
fn after_fork() {
    crate::sys::after_fork();
}

/// Tests a host against the contract, on this thread. `make` makes the host anew for each clause,
/// and `begins` is called with each clause.
#[pyfunction]
#[pyo3(signature = (make, begins=None))]
fn check_host(make: &Bound<'_, PyAny>, begins: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = make.py();
    let host = || make.call0().and_then(|host| from_python(&host, &Rc::default()));
    // If making a host fails, it fails here with a Python exception, and not in the middle of the
    // test.
    drop(host()?);
    let host = |clause| {
        begins.map_or(Ok(()), |begins| begins.call1((clause,)).map(drop)).and_then(|()| host())
    };
    let make = |clause| {
        host(clause).unwrap_or_else(|error| {
            Box::new(PythonHost::new(error.into_value(py).into_any(), Rc::default()))
        })
    };
    crate::host::contract::check_each(&make).map_err(PyRuntimeError::new_err)
}

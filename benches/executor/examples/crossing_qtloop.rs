//! An extension module for `benches/crossing.py`: Rust and Python on one loop.

use pyo3::prelude::*;
use qtloop::python::{future_into_py, into_future};

/// `await cross(call)`: awaits `call()` in Rust and returns what that returns.
#[pyfunction]
fn cross(py: Python<'_>, call: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(
        py,
        async move { Python::attach(|py| into_future(call.bind(py).call0()?))?.await },
    )
}

/// The module.
#[pymodule(gil_used = true)]
fn crossing_qtloop(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cross, module)?)
}

//! An extension module for `benches/crossing.py`: Rust on tokio's threads, Python on its own loop.

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, into_future};

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
fn crossing_tokio(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cross, module)?)
}

//! The Python modules of the package that Rust calls. What happens rarely is done there.
//!
//! The package hands its modules over when it is imported. Rust does not import them by name: these
//! modules stand above `_core`, and import it themselves.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

struct Modules {
    hooks: Py<PyModule>,
    transports: Py<PyModule>,
    current: Py<PyModule>,
}

static MODULES: PyOnceLock<Modules> = PyOnceLock::new();

/// Hands over the modules of the package. If it is called again, the first modules stay.
#[pyfunction]
pub fn use_modules(
    py: Python<'_>,
    hooks: Py<PyModule>,
    transports: Py<PyModule>,
    current: Py<PyModule>,
) {
    let _again = MODULES.set(py, Modules { hooks, transports, current });
}

fn modules(py: Python<'_>) -> PyResult<&Modules> {
    MODULES.get(py).ok_or_else(|| {
        PyImportError::new_err("qtloop._core is a part of the package qtloop: import that")
    })
}

/// `qtloop._asyncio_hooks`: reports of errors, callbacks in debug mode, and everything that the
/// loop uses of asyncio's private side.
pub fn hooks(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    Ok(modules(py)?.hooks.bind(py))
}

/// `qtloop._transport_reports`: the messages and reports of transports, and descriptions of
/// sockets.
pub fn transports(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    Ok(modules(py)?.transports.bind(py))
}

/// `qtloop._current`: which of our loops a thread has, also as a guest.
pub fn current(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    Ok(modules(py)?.current.bind(py))
}

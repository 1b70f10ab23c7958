//! What comes of an attempt.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::asyncio::errors::would_block;

/// The result, or `None` if the socket is not ready.
pub type Attempt<'py> = PyResult<Option<Bound<'py, PyAny>>>;

/// Calls a method of the socket.
pub fn by_method<'py>(
    socket: &Bound<'py, PyAny>,
    method: &Bound<'py, PyString>,
    args: impl PyCallArgs<'py>,
) -> Attempt<'py> {
    match socket.call_method1(method, args) {
        Ok(result) => Ok(Some(result)),
        Err(error) if would_block(socket.py(), &error) => Ok(None),
        Err(error) => Err(error),
    }
}

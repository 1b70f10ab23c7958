//! Python's exceptions for what goes wrong, and what kind of exception one is.

use std::io;

use pyo3::exceptions::{
    PyBlockingIOError, PyInterruptedError, PyKeyboardInterrupt, PyOSError, PySystemExit,
};
use pyo3::prelude::*;

use super::class::border::attached;

/// The exception that Python raises for the same failure: its class by the number, its text from
/// the C library.
pub fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => attached(|py| {
            let text = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
            PyOSError::new_err((number, text.map(Bound::unbind).unwrap_or_else(|_| py.None())))
        }),
        None => error.into(),
    }
}

/// Whether the exception leaves the loop, whoever raises it.
pub fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

/// Whether a socket's method says by this that it cannot do it now.
pub fn would_block(py: Python<'_>, error: &PyErr) -> bool {
    // Asked of the exception itself: before Python 3.12 pyo3 takes one for an OSError if it was
    // made as that.
    let error = error.value(py);
    error.is_instance_of::<PyBlockingIOError>() || error.is_instance_of::<PyInterruptedError>()
}

/// What two steps came to, of which the second is taken though the first failed: as with `finally`.
pub fn finally(py: Python<'_>, first: PyResult<()>, second: PyResult<()>) -> PyResult<()> {
    match (first, second) {
        (Err(first), Err(second)) => {
            second.set_context(py, Some(first));
            Err(second)
        }
        (first, second) => first.and(second),
    }
}

//! Python exceptions for what fails, and tests of what an exception is.

use std::io;

use pyo3::exceptions::{
    PyBlockingIOError, PyInterruptedError, PyKeyboardInterrupt, PyOSError, PySystemExit,
};
use pyo3::prelude::*;

#[cfg(not(windows))]
use super::class::border::attached;

/// The exception that Python raises for the same failure. The number decides the class, and the
/// text is Windows'. Python finds the `errno` by itself.
#[cfg(windows)]
pub fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.rsplit_once(" (os error").map_or(&*text, |(text, _)| text).to_owned();
            PyOSError::new_err((0, text, None::<()>, number))
        }
        None => error.into(),
    }
}

/// The exception that Python raises for the same failure. The number decides the class, and the
/// text is the C library's.
#[cfg(not(windows))]
pub fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => attached(|py| {
            let text = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
            PyOSError::new_err((number, text.map(Bound::unbind).unwrap_or_else(|_| py.None())))
        }),
        None => error.into(),
    }
}

/// Whether the exception leaves the loop, wherever it was raised.
pub fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

/// Whether a socket's method says, by this exception, that it would have to wait.
pub fn would_block(py: Python<'_>, error: &PyErr) -> bool {
    // The exception itself is asked. Before Python 3.12 pyo3 takes each exception for an OSError
    // that was constructed as one.
    let error = error.value(py);
    error.is_instance_of::<PyBlockingIOError>() || error.is_instance_of::<PyInterruptedError>()
}

/// The outcome of two steps, of which the second is done even if the first has failed, as by
/// `finally`.
pub fn finally(py: Python<'_>, first: PyResult<()>, second: PyResult<()>) -> PyResult<()> {
    match (first, second) {
        (Err(first), Err(second)) => {
            second.set_context(py, Some(first));
            Err(second)
        }
        (first, second) => first.and(second),
    }
}

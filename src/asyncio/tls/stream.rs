//! Our own transport of a stream socket, as TLS sees it.
//!
//! It stands above TLS, to which it gives what it reads. So it hands down what TLS asks of it.

use std::sync::OnceLock;

use pyo3::prelude::*;

type IsStream = fn(&Bound<'_, PyAny>) -> bool;
type Write = fn(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>;

static STREAM: OnceLock<(IsStream, Write)> = OnceLock::new();

/// Notes how a transport is known for one of ours, and how it is written to.
pub fn use_stream(is_stream: IsStream, write: Write) {
    // The module may be imported again: the functions are the same.
    let _ = STREAM.set((is_stream, write));
}

/// Whether it is one of our transports.
pub fn is_stream(transport: &Bound<'_, PyAny>) -> bool {
    STREAM.get().is_some_and(|(is_stream, _)| is_stream(transport))
}

/// Writes to a transport; to one of ours without a call of Python's.
///
/// # Errors
/// What the transport raises.
pub fn write(transport: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    match STREAM.get() {
        Some((_, write)) => write(transport, data),
        None => transport.call_method1("write", (data,)).map(drop),
    }
}

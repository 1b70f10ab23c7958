//! Our own transport of a stream socket, as TLS sees it.
//!
//! The transport stands above TLS, and gives it what it reads. So it hands down the functions that
//! TLS needs.

use std::sync::OnceLock;

use pyo3::prelude::*;

type IsStream = fn(&Bound<'_, PyAny>) -> bool;
type Write = fn(&Bound<'_, PyAny>, &Bound<'_, PyAny>) -> PyResult<()>;

static STREAM: OnceLock<(IsStream, Write)> = OnceLock::new();

/// Notes how to recognise our transport, and how to write to it.
pub fn use_stream(is_stream: IsStream, write: Write) {
    // The module may be imported again: the functions are the same.
    let _ = STREAM.set((is_stream, write));
}

/// Whether it is one of our transports.
pub fn is_stream(transport: &Bound<'_, PyAny>) -> bool {
    STREAM.get().is_some_and(|(is_stream, _)| is_stream(transport))
}

/// Writes to a transport. If it is ours, no Python call is made.
///
/// # Errors
/// What the transport raises.
pub fn write(transport: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    match STREAM.get() {
        Some((_, write)) => write(transport, data),
        None => transport.call_method1("write", (data,)).map(drop),
    }
}

//! What the transports of both ends of a pipe share.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::shared::{self, Transport};
use crate::core::Direction;
use crate::io::pipe::{self, FileKind};

/// Opens a channel on a Python file object or socket, which closes the fd in the end. Also returns
/// what the fd is.
///
/// # Errors
/// `ValueError` with the message `refusal` if the fd is neither a pipe nor a socket nor a character
/// device. `RuntimeError` if the loop is closed.
pub fn open(
    event_loop: &Bound<'_, Loop>,
    file: &Bound<'_, PyAny>,
    protocol: &Bound<'_, PyAny>,
    refusal: &'static str,
) -> PyResult<(Channel, FileKind)> {
    let (py, open_file) = (file.py(), OpenFile::of_python(file)?);
    let kind = open_file.lend(py, pipe::kind).map_err(os_error)?;
    if kind == FileKind::Other {
        return Err(PyValueError::new_err(refusal));
    }
    let channel = Channel::new(event_loop, open_file, protocol)?;
    channel.lend(py, pipe::set_nonblocking).map_err(os_error)?;
    Ok((channel, kind))
}

/// The transport of a pipe's end.
pub trait Piped: Transport {
    /// The direction of the end.
    const END: Direction;

    /// How many bytes wait to be written, if any can.
    fn size(&self) -> Option<usize> {
        None
    }
}

/// Fills in what `get_extra_info` looks into. That is the dictionary `extra`, if it is given.
pub fn set_extra<'py, T: Piped>(
    this: &Instance<'py, T>,
    extra: Option<Bound<'py, PyDict>>,
) -> PyResult<()> {
    let extra = extra.unwrap_or_else(|| PyDict::new(this.py()));
    extra.set_item("pipe", this.channel().file().object(this.py()))?;
    this.as_any().setattr("_extra", extra)
}

/// Makes the transport known to the loop.
pub fn register<T: Piped>(this: &Instance<'_, T>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    event_loop.get().transports().insert_pipe((this.channel().number(), T::END), this.as_any())
}

/// Closes the pipe, and tells the loop.
pub fn let_go<T: Piped>(this: &Instance<'_, T>) -> PyResult<()> {
    let channel = this.channel();
    if let Some(event_loop) = channel.event_loop(this.py()) {
        let end = (channel.number(), T::END);
        event_loop.get().transports().remove_pipe(end, this.as_any());
    }
    T::drop_outgoing(this);
    channel.close(this.as_any())
}

/// Logs, in debug mode, that the other side has closed the pipe.
pub fn log_closed_by_peer<T: Piped>(this: &Instance<'_, T>) -> PyResult<()> {
    if !this.channel().is_debugging() {
        return Ok(());
    }
    python_half::transports(this.py())?.call_method1("closed_by_peer", (this.as_any(),)).map(drop)
}

pub fn object<'py, T: Piped>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    Ok(shared::or_none(this.py(), this.channel().file().object(this.py())))
}

/// For tests that close the file by themselves. Without this, they would get a warning that the
/// transport was not closed.
pub fn set_object<'py, T: Piped>(
    this: &Instance<'py, T>,
    file: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    this.channel().file().set_object(file.filter(|file| !file.is_none()));
    Ok(())
}

/// Python's `repr`.
pub fn repr<'py, T: Piped>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    let is_closed = this.channel().file().is_closed();
    let state = (is_closed, this.channel().is_closing(), shared::is_alive(this));
    let is_polling = this.channel().is_watched(T::END);
    let arguments = (this.as_any(), state, this.channel().number(), is_polling, this.size());
    python_half::transports(this.py())?.call_method1("describe_pipe", arguments)
}

//! Methods that several classes of transports share.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use super::channel::Channel;
use crate::asyncio::class::extension::{Extension, Instance};
use crate::asyncio::python_half;
use crate::core::Direction;

/// A class of transports.
pub trait Transport: Extension {
    fn channel(&self) -> &Channel;

    /// Drops what waits to be written.
    fn drop_outgoing(_this: &Instance<'_, Self>) {}

    /// Whether such an exception, which ends the connection, is usual for this kind of file. Then
    /// it is not reported as an error.
    ///
    /// # Errors
    /// What looking at the exception raises.
    fn is_expected(_error: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(true)
    }

    /// Closes the file, and tells everything that has to know.
    ///
    /// # Errors
    /// What any of these steps raises. All steps are done nevertheless.
    fn let_go(this: &Instance<'_, Self>) -> PyResult<()> {
        Self::drop_outgoing(this);
        this.channel().close(this.as_any())
    }

    /// The connection is lost, and the protocol has been told.
    ///
    /// # Errors
    /// What telling others raises.
    fn ended(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// Schedules three steps, from the loop's next iteration on: the protocol is told of its transport,
/// then the method `start` is called, then `waiter`, a future, is done.
pub fn begin_soon<'py, T: Transport>(
    this: &Instance<'py, T>,
    protocol: &Bound<'py, PyAny>,
    start: Option<&str>,
    waiter: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    channel
        .call_soon(protocol.getattr(intern!(py, "connection_made"))?, &[this.as_any().clone()])?;
    if let Some(start) = start {
        channel.call_soon(this.as_any().getattr(PyString::intern(py, start))?, &[])?;
    }
    if let Some(waiter) = waiter {
        let set_result =
            py.import("asyncio.futures")?.getattr(intern!(py, "_set_result_unless_cancelled"))?;
        channel.call_soon(set_result, &[waiter, py.None().into_bound(py)])?;
    }
    Ok(())
}

/// Logs a step, in debug mode. `message` has a `%r` for the transport.
pub fn log<T: Transport>(this: &Instance<'_, T>, message: &str) -> PyResult<()> {
    if !this.channel().is_debugging() {
        return Ok(());
    }
    python_half::transports(this.py())?
        .call_method1(intern!(this.py(), "debug"), (message, this.as_any()))
        .map(drop)
}

/// Gives an exception to the loop's exception handler.
pub fn report<'py, T: Transport>(
    this: &Instance<'py, T>,
    message: &str,
    error: impl IntoPyObject<'py>,
) -> PyResult<()> {
    let (event_loop, protocol) =
        (this.channel().event_loop(this.py()), this.channel().protocol(this.py()));
    python_half::transports(this.py())?
        .call_method1(
            intern!(this.py(), "report"),
            (event_loop, message, error, this.as_any(), protocol),
        )
        .map(drop)
}

/// Reports that something was written in vain. That has happened `before` so many times.
pub fn written_in_vain(py: Python<'_>, before: u32, warning: &str) -> PyResult<()> {
    python_half::transports(py)?
        .call_method1(intern!(py, "written_in_vain"), (before, warning))
        .map(drop)
}

/// Whether the transport has a loop that is not closed.
pub fn is_alive<T: Transport>(this: &Instance<'_, T>) -> bool {
    let event_loop = this.channel().event_loop(this.py());
    event_loop.is_some_and(|event_loop| event_loop.get().open_driver().is_ok())
}

pub fn is_closing<T: Transport>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(this.channel().is_closing())
}

pub fn set_protocol<T: Transport>(
    this: &Instance<'_, T>,
    protocol: &Bound<'_, PyAny>,
) -> PyResult<()> {
    this.channel().set_protocol(protocol);
    Ok(())
}

pub fn get_protocol<'py, T: Transport>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    Ok(or_none(this.py(), this.channel().protocol(this.py())))
}

pub fn event_loop<'py, T: Transport>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    Ok(or_none(this.py(), this.channel().event_loop(this.py()).map(Bound::into_any)))
}

/// The fd's number, also when it is closed.
pub fn fd<'py, T: Transport>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyInt>> {
    Ok(this.channel().number().into_pyobject(this.py())?)
}

/// Ends the watch for `direction`.
pub fn unwatch<T: Transport>(this: &Instance<'_, T>, direction: Direction) -> PyResult<()> {
    this.channel().unwatch(this.as_any(), direction)
}

/// The object, or else Python's None.
pub fn or_none<'py>(py: Python<'py>, object: Option<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
    object.unwrap_or_else(|| py.None().into_bound(py))
}

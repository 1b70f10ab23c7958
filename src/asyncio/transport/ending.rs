//! How a transport ends, whatever file it has.

use std::marker::PhantomData;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::shared::{self, Transport};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::context::current_context;
use crate::asyncio::errors::{finally, is_fatal};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::handle::{self, HandleParts};
use crate::asyncio::item::EventHandler;
use crate::asyncio::python_half;
use crate::core::Direction;

/// Closes at once, and drops what waits to be written.
pub fn force_close<T: Transport>(this: &Instance<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    if this.channel().is_lost() {
        return Ok(());
    }
    this.channel().set_closing();
    T::drop_outgoing(this);
    shared::unwatch(this, Direction::Write)?;
    shared::unwatch(this, Direction::Read)?;
    lose_soon(this, error.clone())
}

/// As [`force_close`], without an exception.
pub fn abort<T: Transport>(this: &Instance<'_, T>) -> PyResult<()> {
    force_close(this, &this.py().None().into_bound(this.py()))
}

/// The events of a class of transports.
struct Events<T>(PhantomData<T>);

impl<T: Transport> Events<T> {
    /// The protocol is told that the connection is lost.
    const LOSS: &'static EventHandler = &EventHandler {
        method: "_lose",
        run: |this| lose(Instance::<T>::of(this)?),
        context: |this| Instance::<T>::of(this)?.channel().context_of_loss(this.py()),
    };
}

/// Schedules the end: in the loop's next iteration the protocol is told that the connection is lost.
pub fn lose_soon<'py, T: Transport>(
    this: &Instance<'py, T>,
    error: Bound<'py, PyAny>,
) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    channel.count_lost();
    if channel.is_debugging() {
        // A handle, of which debug mode knows where it was made.
        let callback = this.as_any().getattr(intern!(py, "_call_connection_lost"))?;
        return channel.call_soon(callback, &[error]);
    }
    let Some(event_loop) = channel.event_loop(py) else { return Ok(()) };
    event_loop.get().open_driver()?;
    channel.set_loss(channel.context_for_now(py)?, error);
    channel.event_soon(this.as_any(), Events::<T>::LOSS);
    Ok(())
}

/// The event of the end. An exception is reported as that of a handle whose callback is
/// `_call_connection_lost`.
pub fn lose<T: Transport>(this: &Instance<'_, T>) -> PyResult<()> {
    let py = this.py();
    let Some(error) = this.channel().take_loss(py) else { return Ok(()) };
    // The loop is known only until then.
    let event_loop = this.channel().event_loop(py);
    match connection_lost(this, &error) {
        Err(raised) if !is_fatal(py, &raised) => {
            let callback = this.as_any().getattr(intern!(py, "_call_connection_lost"))?;
            report_callback(event_loop, &callback, error, raised)
        }
        outcome => outcome,
    }
}

/// Reports an exception of an event as that of a handle whose callback is `callback`.
pub fn report_callback<'py>(
    event_loop: Option<Bound<'py, Loop>>,
    callback: &Bound<'py, PyAny>,
    argument: Bound<'py, PyAny>,
    raised: PyErr,
) -> PyResult<()> {
    let py = callback.py();
    let Some(event_loop) = event_loop else { return Err(raised) };
    let args = PyTuple::new(py, [argument])?;
    let context = current_context(py)?;
    let handle =
        HandleParts { callback, args, event_loop: event_loop.as_any(), context }.into_handle()?;
    handle::track(&handle);
    python_half::hooks(py)?.call_method1(intern!(py, "report_error"), (handle, raised)).map(drop)
}

/// Tells the protocol that the connection is lost, and drops all references.
pub fn connection_lost<T: Transport>(
    this: &Instance<'_, T>,
    error: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = this.py();
    let told = match this.channel().protocol(py) {
        Some(protocol) => protocol.call_method1(intern!(py, "connection_lost"), (error,)).map(drop),
        None => Ok(()),
    };
    let closed = T::let_go(this);
    this.channel().release(py);
    let ended = T::ended(this);
    finally(py, finally(py, told, closed), ended)
}

/// Nobody refers to the transport any more: its finalizer.
pub fn finalize<T: Transport>(this: &Instance<'_, T>) -> PyResult<()> {
    if this.channel().file().is_closed() {
        return Ok(());
    }
    let module = python_half::transports(this.py());
    let warned = module
        .and_then(|module| {
            module.call_method1(intern!(this.py(), "warn_unclosed"), (this.as_any(),))
        })
        .map(drop);
    finally(this.py(), warned, T::let_go(this))
}

/// Ends the connection because something has failed. An exception that leaves the loop still leaves
/// it.
pub fn failed<T: Transport>(this: &Instance<'_, T>, error: PyErr, message: &str) -> PyResult<()> {
    let py = this.py();
    if is_fatal(py, &error) {
        return Err(error);
    }
    let error = error.into_value(py).into_bound(py).into_any();
    fail(this, &error, message)
}

/// As [`failed`], of an exception that does not leave the loop.
pub fn fail<'py, T: Transport>(
    this: &Instance<'py, T>,
    error: &Bound<'py, PyAny>,
    message: &str,
) -> PyResult<()> {
    let py = this.py();
    if T::is_expected(error)? {
        let (event_loop, protocol) = (this.channel().event_loop(py), this.channel().protocol(py));
        let arguments = (event_loop, message, error, this.as_any(), protocol);
        python_half::transports(py)?.call_method1(intern!(py, "fatal_error"), arguments)?;
    } else {
        shared::report(this, message, error)?;
    }
    force_close(this, error)
}

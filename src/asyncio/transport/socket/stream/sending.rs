//! What the program writes, and the end of the writing half.

use std::io;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::object::{Stream, This};
use crate::asyncio::class::border::is_since;
use crate::asyncio::class::buffer::{Chunk, Data, View};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::item::EventHandler;
use crate::asyncio::python_half;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow;
use crate::asyncio::transport::shared::{self, Transport};
use crate::asyncio::transport::socket::common;
use crate::core::Direction;
use crate::io::socket;

static WRITE: EventHandler = EventHandler {
    method: "_write_ready",
    run: |this| write_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Write),
};

/// The error for what is not bytes-like, in the words of this Python's own transport.
fn refused(data: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let stock = python_half::transports(data.py())
        .and_then(|module| module.call_method1(intern!(data.py(), "refused"), (data,)));
    stock.map_or(error, PyErr::from_value)
}

pub(super) fn write(this: &This<'_>, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let data = match Data::new(object) {
        Ok(data) => data,
        // Memory in several pieces fails when it is sent.
        Err(error) if !error.is_instance_of::<PyTypeError>(this.py()) => {
            return ending::failed(this, error, "Fatal write error on socket transport");
        }
        Err(error) => return Err(refused(object, error)),
    };
    check_writable(this, "write")?;
    if data.as_slice().is_empty() {
        return Ok(());
    }
    if this.channel.is_lost() {
        return common::written_in_vain(this);
    }
    let mut written = 0;
    if this.outgoing.borrow().is_empty() {
        match this.channel.lend(this.py(), |fd| socket::transmit(fd, data.as_slice())) {
            Ok(count) if count == data.as_slice().len() => return Ok(()),
            Ok(count) => written = count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                return ending::failed(
                    this,
                    os_error(error),
                    "Fatal write error on socket transport",
                );
            }
        }
    }
    let (chunk, start) = data.into_chunk(written)?;
    if this.outgoing.borrow().is_empty() {
        await_room(this)?;
    }
    this.outgoing.borrow_mut().push(chunk, start);
    flow::has_grown(this)
}

/// Whether it is a transport of this class.
pub fn is_stream(transport: &Bound<'_, PyAny>) -> bool {
    This::of(transport).is_ok()
}

/// Writes to a transport of this class, as its method does.
///
/// # Errors
/// As the method; `TypeError` if it is no such transport.
pub fn write_to(transport: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    write(This::of(transport)?, data)
}

pub(super) fn writelines(this: &This<'_>, list: &Bound<'_, PyAny>) -> PyResult<()> {
    if !is_since(12) {
        // There the stock transport joins the data first. That shows in the errors.
        return write(this, &PyBytes::new(this.py(), b"").call_method1("join", (list,))?);
    }
    check_writable(this, "writelines")?;
    if !list.is_truthy()? {
        return Ok(());
    }
    let chunks = chunks_of(list)?;
    if this.channel.is_lost() {
        return common::written_in_vain(this);
    }
    let is_first = this.outgoing.borrow().is_empty();
    let mut outgoing = this.outgoing.borrow_mut();
    chunks.into_iter().for_each(|chunk| outgoing.push(chunk, 0));
    let is_empty = outgoing.is_empty();
    drop(outgoing);
    if is_empty {
        return Ok(());
    }
    if is_first {
        flush(this)?;
        if this.outgoing.borrow().is_empty() || this.channel.is_lost() {
            return Ok(());
        }
        await_room(this)?;
    }
    flow::has_grown(this)
}

fn chunks_of(list: &Bound<'_, PyAny>) -> PyResult<Vec<Chunk>> {
    let as_chunk = |data: Bound<'_, PyAny>| match data.cast_into::<PyBytes>() {
        Ok(bytes) => Ok(Chunk::Bytes(bytes.unbind())),
        Err(other) => Chunk::copy(View::readable(&other.into_inner())?.as_slice()),
    };
    let is_plain =
        |list: &Bound<'_, PyList>| list.iter().all(|data| data.is_exact_instance_of::<PyBytes>());
    if let Ok(list) = list.cast::<PyList>()
        && is_plain(list)
    {
        return list.iter().map(as_chunk).collect();
    }
    python_half::transports(list.py())?
        .call_method1(intern!(list.py(), "pieces"), (list,))?
        .try_iter()?
        .map(|data| as_chunk(data?))
        .collect()
}

fn check_writable(this: &This<'_>, method: &str) -> PyResult<()> {
    if this.eof.get() {
        return Err(PyRuntimeError::new_err(format!("Cannot call {method}() after write_eof()")));
    }
    if this.empty_waiter.borrow().is_some() {
        return Err(PyRuntimeError::new_err(format!(
            "unable to {method}; sendfile is in progress"
        )));
    }
    Ok(())
}

fn await_room(this: &This<'_>) -> PyResult<()> {
    this.channel.watch(this.as_any(), Direction::Write, &WRITE)
}

/// Writes as much of the queue as there is room for. Returns whether that went well.
fn flush(this: &This<'_>) -> PyResult<bool> {
    let py = this.py();
    if this.outgoing.borrow().is_empty() {
        return Ok(true);
    }
    let written = this.outgoing.borrow().with_slices(|slices| match slices {
        [only] => this.channel.lend(py, |fd| socket::transmit(fd, only)),
        several => this.channel.lend(py, |fd| socket::transmit_many(fd, several)),
    });
    match written {
        Ok(count) => {
            let done = this.outgoing.borrow_mut().advance(count);
            drop(done);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => {
            let error = os_error(error);
            shared::unwatch(this, Direction::Write)?;
            Stream::drop_outgoing(this);
            ending::failed(this, error.clone_ref(py), "Fatal write error on socket transport")?;
            set_empty_waiter(this, Err(error))?;
            Ok(false)
        }
    }
}

pub(super) fn write_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Write) || this.channel.is_lost() || !flush(this)? {
        return Ok(());
    }
    let told = flow::has_shrunk(this); // The protocol may write again, or close.
    if !this.outgoing.borrow().is_empty() || this.channel.is_lost() {
        return told;
    }
    let ended = all_is_written(this);
    finally(this.py(), told, ended)
}

fn all_is_written(this: &This<'_>) -> PyResult<()> {
    shared::unwatch(this, Direction::Write)?;
    set_empty_waiter(this, Ok(()))?;
    if this.channel.is_closing() {
        return ending::connection_lost(this, &this.py().None().into_bound(this.py()));
    }
    if this.eof.get() { shut_down_write(this) } else { Ok(()) }
}

pub(super) fn write_eof(this: &This<'_>) -> PyResult<()> {
    if this.channel.is_closing() || this.eof.replace(true) || !this.outgoing.borrow().is_empty() {
        return Ok(());
    }
    shut_down_write(this)
}

fn shut_down_write(this: &This<'_>) -> PyResult<()> {
    this.channel.lend(this.py(), socket::shut_down_write).map_err(os_error)
}

pub(super) fn can_write_eof(_: &This<'_>) -> PyResult<bool> {
    Ok(true)
}

// sendfile waits until everything is written, then writes by itself.

pub(super) fn make_empty_waiter<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    if this.empty_waiter.borrow().is_some() {
        return Err(PyRuntimeError::new_err("Empty waiter is already set"));
    }
    let Some(event_loop) = this.channel.event_loop(py) else {
        return Err(PyRuntimeError::new_err("Transport is closing"));
    };
    let waiter = event_loop.call_method0(intern!(py, "create_future"))?;
    this.empty_waiter.replace(Some(waiter.clone().unbind()));
    if this.outgoing.borrow().is_empty() {
        waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(waiter)
}

pub(super) fn reset_empty_waiter(this: &This<'_>) -> PyResult<()> {
    drop(this.empty_waiter.take().map(|waiter| waiter.into_bound(this.py())));
    Ok(())
}

pub(super) fn set_empty_waiter(this: &This<'_>, outcome: Result<(), PyErr>) -> PyResult<()> {
    let py = this.py();
    let waiter = this.empty_waiter.borrow().as_ref().map(|waiter| waiter.bind(py).clone());
    let Some(waiter) = waiter else { return Ok(()) };
    if waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match outcome {
        Ok(()) => waiter.call_method1(intern!(py, "set_result"), (py.None(),)),
        Err(error) => waiter.call_method1(intern!(py, "set_exception"), (error,)),
    }
    .map(drop)
}

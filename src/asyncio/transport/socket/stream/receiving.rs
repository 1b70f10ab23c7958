//! What arrives, and how the protocol takes it.

use std::io;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::object::{Receiver, This};
use crate::asyncio::class::border::to_int;
use crate::asyncio::class::buffer::{View, to_bytes};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::os_error;
use crate::asyncio::item::EventHandler;
use crate::asyncio::stream_reader::Reader;
use crate::asyncio::tls::{self, Engine, Scratch};
use crate::asyncio::transport::ending;
use crate::asyncio::transport::shared;
use crate::asyncio::transport::socket::common;
use crate::core::Direction;
use crate::io::socket;

pub(super) static READ: EventHandler = EventHandler {
    method: "_read_ready",
    run: |this| read_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

const READ_FAILED: &str = "Fatal read error on socket transport";

pub(super) fn read_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Read) || this.channel.is_lost() {
        return Ok(());
    }
    let Some(protocol) = this.channel.protocol(this.py()) else { return Ok(()) };
    match this.receiver.get() {
        Receiver::Protocol => read_data(this, &protocol),
        Receiver::Buffered => read_into(this, &protocol),
        Receiver::Streams => match Reader::of(&protocol)? {
            Some(reader) => feed(this, &protocol, &reader),
            None => read_data(this, &protocol),
        },
        Receiver::Tls => match protocol.cast::<Engine>() {
            Ok(engine) => read_encrypted(this, engine),
            Err(_) => read_into(this, &protocol),
        },
    }
}

/// For a StreamReader.
fn feed(this: &This<'_>, protocol: &Bound<'_, PyAny>, reader: &Reader<'_>) -> PyResult<()> {
    let receive =
        |memory: &mut [u8]| this.channel.lend(this.py(), |fd| socket::receive(fd, memory));
    let received = match this
        .channel
        .driver()
        .client()
        .read_buffer()
        .lend(|scratch| reader.receive(scratch, receive))
    {
        Ok(received) => received,
        Err(error) => return ending::failed(this, error, READ_FAILED),
    };
    let fed = match received {
        Ok(Ok(0)) => return end_of_stream(this, protocol),
        Ok(Ok(_)) => reader.data_has_come(),
        Ok(Err(error)) => Err(error),
        Err(error) => return read_failed(this, error),
    };
    fed.or_else(|error| {
        ending::failed(this, error, "Fatal error: protocol.data_received() call failed.")
    })
}

/// For a Protocol: `data_received` gets a bytes object of exactly the size.
fn read_data(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let received = this.channel.driver().client().read_buffer().lend(|scratch| {
        let count = this.channel.lend(py, |fd| socket::receive(fd, scratch))?;
        io::Result::Ok((count > 0).then(|| to_bytes(py, &scratch[..count])))
    });
    match received {
        Ok(Ok(Some(Ok(data)))) => protocol
            .call_method1(intern!(py, "data_received"), (data,))
            .map(drop)
            .or_else(|error| {
                ending::failed(this, error, "Fatal error: protocol.data_received() call failed.")
            }),
        Ok(Ok(None)) => end_of_stream(this, protocol),
        Ok(Err(error)) => read_failed(this, error),
        Ok(Ok(Some(Err(error)))) | Err(error) => ending::failed(this, error, READ_FAILED),
    }
}

/// For TLS: as for a BufferedProtocol, but without the Python calls.
fn read_encrypted(this: &This<'_>, engine: &Bound<'_, Engine>) -> PyResult<()> {
    let py = this.py();
    let mut scratch = match Scratch::take(py) {
        Ok(scratch) => scratch,
        Err(error) => return ending::failed(this, error, READ_FAILED),
    };
    match this.channel.lend(py, |fd| socket::receive(fd, scratch.for_socket())) {
        Ok(0) => {
            drop(scratch);
            end_of_stream(this, engine.as_any())
        }
        Ok(count) => tls::received(engine, scratch, count).or_else(|error| {
            ending::failed(this, error, "Fatal error: protocol.buffer_updated() call failed.")
        }),
        Err(error) => read_failed(this, error),
    }
}

/// For a BufferedProtocol: reads into the buffer that it gives.
fn read_into(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let buffer = match get_buffer(protocol) {
        Ok(buffer) => buffer,
        Err(error) => {
            return ending::failed(this, error, "Fatal error: protocol.get_buffer() call failed.");
        }
    };
    let mut view = match View::writable(&buffer) {
        Ok(view) => view,
        Err(error) => return ending::failed(this, error, READ_FAILED),
    };
    let received = this.channel.lend(py, |fd| socket::receive(fd, view.as_mut_slice()));
    drop(view);
    drop(buffer);
    if this.channel.file().is_closed() {
        return Ok(()); // In get_buffer, which may run a nested loop.
    }
    match received {
        Ok(0) => end_of_stream(this, protocol),
        Ok(count) => protocol
            .call_method1(intern!(py, "buffer_updated"), (to_int(py, count)?,))
            .map(drop)
            .or_else(|error| {
                ending::failed(this, error, "Fatal error: protocol.buffer_updated() call failed.")
            }),
        Err(error) => read_failed(this, error),
    }
}

fn get_buffer<'py>(protocol: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let buffer = protocol.call_method1(intern!(protocol.py(), "get_buffer"), (-1,))?;
    if buffer.len()? == 0 {
        return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
    }
    Ok(buffer)
}

fn read_failed(this: &This<'_>, error: io::Error) -> PyResult<()> {
    if error.kind() == io::ErrorKind::WouldBlock {
        return Ok(());
    }
    ending::failed(this, os_error(error), READ_FAILED)
}

fn end_of_stream(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    shared::log(this, "%r received EOF")?;
    let answer = protocol
        .call_method0(intern!(this.py(), "eof_received"))
        .and_then(|answer| answer.is_truthy());
    match answer {
        // The protocol may still write.
        Ok(true) => shared::unwatch(this, Direction::Read),
        Ok(false) => common::close(this),
        Err(error) => {
            ending::failed(this, error, "Fatal error: protocol.eof_received() call failed.")
        }
    }
}

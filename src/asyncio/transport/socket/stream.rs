//! `SocketTransport`: a connected stream socket, TCP or Unix.
//!
//! The semantics are those of `asyncio.selector_events._SelectorSocketTransport`.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::beginning::{self, Beginning, Begins, Events};
use super::common::{self, Socketed};
use super::extra_info::Socket;
use crate::asyncio::class::border::{attached, is_since, to_int};
use crate::asyncio::class::buffer::{Chunk, Data, View, to_bytes};
use crate::asyncio::class::extension::{Class, Extension, Instance};
use crate::asyncio::class::methods::Definitions;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::class::wrappers::{method, property};
use crate::asyncio::context::{copy_context, current_context};
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::asyncio::stream_reader::{Reader, is_for_streams};
use crate::asyncio::tls::{self, Engine, Scratch};
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow::{self, Flowing};
use crate::asyncio::transport::reading::{self, Reading};
use crate::asyncio::transport::shared::{self, Transport};
use crate::core::Direction;
use crate::io::{Outgoing, Watermarks, socket};

pub type This<'py> = Instance<'py, Stream>;

/// A connection.
pub struct Stream {
    channel: Channel,
    socket: Socket,
    server: RefCell<Option<Py<PyAny>>>,
    receiver: Cell<Receiver>,
    is_paused: Cell<bool>,
    /// `write_eof()` was called.
    eof: Cell<bool>,
    outgoing: RefCell<Outgoing<Chunk>>,
    marks: Cell<Watermarks>,
    /// The future that sendfile waits for until everything is written. Then sendfile writes by
    /// itself.
    empty_waiter: RefCell<Option<Py<PyAny>>>,
    /// What a connection that was made here begins with.
    beginning: Beginning,
}

/// How the protocol takes what arrives.
#[derive(Clone, Copy)]
enum Receiver {
    /// By `data_received`.
    Protocol,
    /// Into the memory that `get_buffer` gives.
    Buffered,
    /// It hands all data to its StreamReader.
    Streams,
    /// It is the TLS protocol, which takes the data in Rust.
    Tls,
}

static READ: EventHandler = EventHandler {
    method: "_read_ready",
    run: |this| read_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

static WRITE: EventHandler = EventHandler {
    method: "_write_ready",
    run: |this| write_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Write),
};

/// An accepted connection begins: its protocol is told, then reading starts.
static BEGIN: EventHandler = EventHandler {
    method: "_begin",
    run: |this| begin(Instance::of(this)?),
    context: |this| context_to_tell(This::of(this)?),
};

/// An accepted connection with TLS begins: its handshake does.
static BEGIN_TLS: EventHandler = EventHandler {
    method: "_begin_tls",
    run: |this| begin_tls(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

static BEGINNING: Events = Events {
    tell: EventHandler {
        method: "_tell",
        run: |this| beginning::tell(This::of(this)?),
        context: |this| context_to_tell(This::of(this)?),
    },
    start: EventHandler {
        method: "_start_reading",
        run: |this| start_in_its_context(This::of(this)?),
        context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
    },
    wake: EventHandler {
        method: "_wake",
        run: |this| beginning::wake(This::of(this)?),
        // The callbacks of the future run in contexts of their own.
        context: |this| current_context(this.py()),
    },
};

/// The context that `connection_made` is called in.
fn context_to_tell<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    match this.channel.own_context(this.py()) {
        Some(context) => Ok(context),
        // A copy: what `connection_made` sets is not for `data_received`.
        None => copy_context(&this.channel.context(this.py(), Direction::Read)?),
    }
}

impl Begins for Stream {
    fn beginning(&self) -> &Beginning {
        &self.beginning
    }
}

impl Stream {
    fn new(channel: Channel, socket: Socket, server: Option<&Bound<'_, PyAny>>) -> Stream {
        Stream {
            channel,
            socket,
            server: RefCell::new(server.map(|server| server.clone().unbind())),
            receiver: Cell::new(Receiver::Protocol),
            is_paused: Cell::new(false),
            eof: Cell::new(false),
            outgoing: RefCell::default(),
            marks: Cell::default(),
            empty_waiter: RefCell::new(None),
            beginning: Beginning::default(),
        }
    }

    /// Makes the transport of a connected socket of Python's, which then belongs to it. The
    /// protocol is told in the loop's next iteration, reading starts, and `waiter`, a future, is
    /// done. All of that happens in `context`, if there is one.
    pub fn of_socket<'py>(
        event_loop: &Bound<'py, Loop>,
        socket: &Bound<'py, PyAny>,
        protocol: &Bound<'py, PyAny>,
        waiter: Option<Bound<'py, PyAny>>,
        extra: Option<Bound<'py, PyDict>>,
        server: Option<&Bound<'py, PyAny>>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let channel = Channel::new(event_loop, OpenFile::of_python(socket)?, protocol)?;
        if let Some(context) = context {
            channel.set_own_context(context);
        }
        let description = Socket::of_python(py, channel.file(), extra);
        let this = This::new(py, Stream::new(channel, description, server))?;
        common::set_nodelay(socket)?;
        set_up(&this, event_loop, protocol)?;
        if this.channel.is_debugging() {
            // Handles, of which debug mode knows where they were made.
            shared::begin_soon(&this, protocol, Some("_start_reading"), waiter)?;
        } else {
            beginning::begin_soon(&this, protocol, waiter, &BEGINNING)?;
        }
        Ok(this.as_any().clone())
    }

    /// Makes the transport of a connection that was made here. What follows is as for
    /// [`of_socket`](Stream::of_socket).
    pub fn of_dialed<'py>(
        event_loop: &Bound<'py, Loop>,
        fd: OwnedFd,
        peer: Option<SocketAddr>,
        protocol: &Bound<'py, PyAny>,
        waiter: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let channel = Channel::new(event_loop, OpenFile::bare(fd), protocol)?;
        let py = event_loop.py();
        let this = This::new(py, Stream::new(channel, Socket::known(peer), None))?;
        this.channel.lend(py, socket::set_nodelay).map_err(os_error)?;
        set_up(&this, event_loop, protocol)?;
        beginning::begin_soon(&this, protocol, Some(waiter), &BEGINNING)?;
        Ok(this.as_any().clone())
    }

    /// Makes the transport of an accepted connection. The protocol is told in the loop's next
    /// iteration.
    pub fn of_accepted<'py>(
        event_loop: &Bound<'py, Loop>,
        accepted: Accepted<'py>,
        protocol: &Bound<'py, PyAny>,
        server: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let channel = Channel::new(event_loop, accepted.file, protocol)?;
        if accepted.is_own {
            channel.set_own_context(accepted.context.clone());
        }
        channel.set_context(Direction::Read, accepted.context);
        let description = Socket::known(accepted.peer);
        let this = This::new(event_loop.py(), Stream::new(channel, description, server))?;
        set_up(&this, event_loop, protocol)?;
        let is_tls = matches!(this.receiver.get(), Receiver::Tls);
        this.channel.event_soon(this.as_any(), if is_tls { &BEGIN_TLS } else { &BEGIN });
        Ok(this.as_any().clone())
    }
}

/// A connection that a listener has accepted.
pub struct Accepted<'py> {
    pub file: OpenFile,
    pub peer: Option<SocketAddr>,
    /// The protocol is told in a copy of it, and it is the one for what is read.
    pub context: Bound<'py, PyAny>,
    /// Whether all that happens to the connection happens in the context, and nothing in a copy.
    pub is_own: bool,
}

fn set_up(
    this: &This<'_>,
    event_loop: &Bound<'_, Loop>,
    protocol: &Bound<'_, PyAny>,
) -> PyResult<()> {
    set_protocol(this, protocol)?;
    if let Some(server) = server(this) {
        let py = this.py();
        python_half::transports(py)?
            .call_method1(intern!(py, "attach"), (server, this.as_any()))?;
    }
    common::register(this, event_loop)
}

fn server<'py>(this: &This<'py>) -> Option<Bound<'py, PyAny>> {
    this.server.borrow().as_ref().map(|server| server.bind(this.py()).clone())
}

fn begin(this: &This<'_>) -> PyResult<()> {
    let told = match this.channel.protocol(this.py()) {
        Some(protocol) => {
            protocol.call_method1(intern!(this.py(), "connection_made"), (this.as_any(),)).map(drop)
        }
        None => Ok(()),
    };
    finally(this.py(), told, start_in_its_context(this))
}

/// As [`begin`], and takes at once what the peer has sent. A client speaks first, and mostly has.
/// The program's protocol is not told before the handshake is over, so nobody sees that this is one
/// callback and not three.
fn begin_tls(this: &This<'_>) -> PyResult<()> {
    begin(this)?;
    read_ready(this)
}

fn start_in_its_context(this: &This<'_>) -> PyResult<()> {
    if !reading::is_reading(this)? {
        return Ok(());
    }
    let context = this.channel.context(this.py(), Direction::Read)?;
    this.channel.watch_in(this.as_any(), Direction::Read, &READ, context)
}

// Reading.

const READ_FAILED: &str = "Fatal read error on socket transport";

fn read_ready(this: &This<'_>) -> PyResult<()> {
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

// Writing.

/// The error for what is not bytes-like, in the words of this Python's own transport.
fn refused(data: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let stock = python_half::transports(data.py())
        .and_then(|module| module.call_method1(intern!(data.py(), "refused"), (data,)));
    stock.map_or(error, PyErr::from_value)
}

fn write(this: &This<'_>, object: &Bound<'_, PyAny>) -> PyResult<()> {
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

fn writelines(this: &This<'_>, list: &Bound<'_, PyAny>) -> PyResult<()> {
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

fn write_ready(this: &This<'_>) -> PyResult<()> {
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

fn write_eof(this: &This<'_>) -> PyResult<()> {
    if this.channel.is_closing() || this.eof.replace(true) || !this.outgoing.borrow().is_empty() {
        return Ok(());
    }
    shut_down_write(this)
}

fn shut_down_write(this: &This<'_>) -> PyResult<()> {
    this.channel.lend(this.py(), socket::shut_down_write).map_err(os_error)
}

fn can_write_eof(_: &This<'_>) -> PyResult<bool> {
    Ok(true)
}

// sendfile waits until everything is written, then writes by itself.

fn make_empty_waiter<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
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

fn reset_empty_waiter(this: &This<'_>) -> PyResult<()> {
    drop(this.empty_waiter.take().map(|waiter| waiter.into_bound(this.py())));
    Ok(())
}

/// Lets others use the transport's fd, or no longer.
///
/// # Errors
/// `TypeError` if it is no transport of this kind, `ValueError` if it is another loop's.
pub fn lend(
    transport: &Bound<'_, PyAny>,
    event_loop: &Bound<'_, Loop>,
    is_lent: bool,
) -> PyResult<()> {
    let this = This::of(transport)?;
    let Some(own) = this.channel.event_loop(this.py()) else { return Ok(()) };
    if !own.is(event_loop) {
        return Err(PyValueError::new_err("a transport of another loop"));
    }
    let transports = event_loop.get().transports();
    if is_lent {
        transports.remove(this.channel.number(), transport);
    } else if !this.channel.file().is_closed() {
        transports.insert(this.channel.number(), transport, common::has_its_fd::<Stream>)?;
    }
    Ok(())
}

fn set_empty_waiter(this: &This<'_>, outcome: Result<(), PyErr>) -> PyResult<()> {
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

fn set_protocol(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    static BUFFERED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = this.py();
    let class = BUFFERED.get_or_try_init(py, || {
        py.import("asyncio")?.getattr("BufferedProtocol").map(Bound::unbind)
    })?;
    this.receiver.set(if protocol.is_instance_of::<Engine>() {
        Receiver::Tls
    } else if protocol.is_instance(class.bind(py))? {
        Receiver::Buffered
    } else if is_for_streams(protocol)? {
        Receiver::Streams
    } else {
        Receiver::Protocol
    });
    this.channel.set_protocol(protocol);
    Ok(())
}

static METHODS: Definitions<ffi::PyMethodDef> = common::methods![
    Stream,
    "SocketTransport",
    set_protocol,
    method!(one "SocketTransport", c"write", "data", write, c"write($self, data)\n--\n\n\
        Write bytes-like data, now as far as there is room and the rest later.\n\nRaises TypeError \
        if it is not bytes-like, RuntimeError after write_eof()."),
    method!(one "SocketTransport", c"writelines", "list_of_data", writelines,
        c"writelines($self, list_of_data)\n--\n\n\
            Write the items of an iterable, by one system call if there is room."),
    method!(none c"write_eof", write_eof, c"write_eof($self, /)\n--\n\n\
        Close the writing half once everything is written; reading goes on."),
    method!(none c"can_write_eof", can_write_eof, c"can_write_eof($self, /)\n--\n\n\
        True: a stream socket has a writing half."),
    method!(none c"_begin", begin, c"_begin($self, /)\n--\n\n"),
    method!(none c"_begin_tls", begin_tls, c"_begin_tls($self, /)\n--\n\n"),
    method!(none c"_tell", beginning::tell::<Stream>, c"_tell($self, /)\n--\n\n"),
    method!(none c"_wake", beginning::wake::<Stream>, c"_wake($self, /)\n--\n\n"),
    method!(none c"_read_ready", read_ready, c"_read_ready($self, /)\n--\n\n"),
    method!(none c"_write_ready", write_ready, c"_write_ready($self, /)\n--\n\n"),
    method!(none c"_make_empty_waiter", make_empty_waiter, c"_make_empty_waiter($self, /)\n--\n\n"),
    method!(none c"_reset_empty_waiter", reset_empty_waiter,
        c"_reset_empty_waiter($self, /)\n--\n\n"),
];

static PROPERTIES: Definitions<ffi::PyGetSetDef> = common::properties!(Stream);

static STREAM: PyOnceLock<Class> = PyOnceLock::new();

impl Extension for Stream {
    const NAME: &'static CStr = c"qtloop._core.SocketTransport";
    /// A Transport: asyncio's sendfile asks for the class. Its flow control in Python is not used.
    const BASES: &'static [(&'static str, &'static str)] =
        &[("asyncio.transports", "_FlowControlMixin")];

    fn class() -> &'static PyOnceLock<Class> {
        &STREAM
    }

    fn methods() -> &'static Definitions<ffi::PyMethodDef> {
        &METHODS
    }

    fn properties() -> &'static Definitions<ffi::PyGetSetDef> {
        &PROPERTIES
    }

    fn repr<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
        common::repr(this)
    }

    fn visit(&self, visitor: &mut Visitor) {
        self.channel.visit(visitor);
        self.socket.visit(visitor);
        self.beginning.visit(visitor);
        for object in [&self.server, &self.empty_waiter] {
            if let Ok(object) = object.try_borrow() {
                visitor.see(object.as_ref());
            }
        }
    }

    fn clear(&self) {
        attached(|py| self.channel.release(py));
        self.beginning.clear();
        let (server, waiter) = (self.server.take(), self.empty_waiter.take());
        drop((server, waiter));
    }

    fn finalize(this: &This<'_>) -> PyResult<()> {
        ending::finalize(this)
    }
}

impl Transport for Stream {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn drop_outgoing(this: &This<'_>) {
        let dropped = this.outgoing.borrow_mut().take_all();
        drop(dropped);
    }

    fn let_go(this: &This<'_>) -> PyResult<()> {
        common::let_go(this)
    }

    fn ended(this: &This<'_>) -> PyResult<()> {
        set_empty_waiter(this, Err(PyConnectionError::new_err("Connection is closed by peer")))
    }
}

impl Flowing for Stream {
    fn marks(&self) -> &Cell<Watermarks> {
        &self.marks
    }

    fn waiting(&self) -> usize {
        self.outgoing.borrow().len()
    }
}

impl Socketed for Stream {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn is_flushed(&self) -> bool {
        self.outgoing.borrow().is_empty()
    }

    fn detach(this: &This<'_>) -> PyResult<()> {
        match this.server.take() {
            Some(server) => python_half::transports(this.py())?
                .call_method1(intern!(this.py(), "detach"), (server, this.as_any()))
                .map(drop),
            None => Ok(()),
        }
    }
}

impl Reading for Stream {
    fn is_paused(&self) -> &Cell<bool> {
        &self.is_paused
    }

    fn read_event() -> &'static EventHandler {
        &READ
    }
}

//! What a transport of a stream socket keeps, and which protocol it has.

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::asyncio::class::buffer::Chunk;
use crate::asyncio::class::extension::Instance;
use crate::asyncio::stream_reader::is_for_streams;
use crate::asyncio::tls::Engine;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::socket::beginning::{Beginning, Begins};
use crate::asyncio::transport::socket::extra_info::Socket;
use crate::io::{Outgoing, Watermarks};

pub type This<'py> = Instance<'py, Stream>;

/// A connection.
pub struct Stream {
    pub(super) channel: Channel,
    pub(super) socket: Socket,
    pub(super) server: RefCell<Option<Py<PyAny>>>,
    pub(super) receiver: Cell<Receiver>,
    pub(super) is_paused: Cell<bool>,
    /// `write_eof()` was called.
    pub(super) eof: Cell<bool>,
    pub(super) outgoing: RefCell<Outgoing<Chunk>>,
    pub(super) marks: Cell<Watermarks>,
    /// The future that sendfile waits for until everything is written. Then sendfile writes by
    /// itself.
    pub(super) empty_waiter: RefCell<Option<Py<PyAny>>>,
    /// What a connection that was made here begins with.
    pub(super) beginning: Beginning,
}

/// How the protocol takes what arrives.
#[derive(Clone, Copy)]
pub(super) enum Receiver {
    /// By `data_received`.
    Protocol,
    /// Into the memory that `get_buffer` gives.
    Buffered,
    /// It hands all data to its StreamReader.
    Streams,
    /// It is the TLS protocol, which takes the data in Rust.
    Tls,
}

impl Begins for Stream {
    fn beginning(&self) -> &Beginning {
        &self.beginning
    }
}

impl Stream {
    pub(super) fn new(
        channel: Channel,
        socket: Socket,
        server: Option<&Bound<'_, PyAny>>,
    ) -> Stream {
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
}

pub(super) fn set_protocol(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
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

pub(super) fn server<'py>(this: &This<'py>) -> Option<Bound<'py, PyAny>> {
    this.server.borrow().as_ref().map(|server| server.bind(this.py()).clone())
}

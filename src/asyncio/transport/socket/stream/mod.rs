//! `SocketTransport`: a connected stream socket, TCP or Unix.
//!
//! The semantics are those of `asyncio.selector_events._SelectorSocketTransport`.

mod making;
mod object;
mod receiving;
mod sending;

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::{PyConnectionError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::beginning;
use super::common::{self, Socketed};
use super::extra_info::Socket;
use crate::asyncio::class::border::attached;
use crate::asyncio::class::extension::{Class, Extension};
use crate::asyncio::class::methods::Definitions;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::class::wrappers::{method, property};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::python_half;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow::{self, Flowing};
use crate::asyncio::transport::reading::{self, Reading};
use crate::asyncio::transport::shared::{self, Transport};
use crate::io::Watermarks;

pub use self::making::Accepted;
use self::object::set_protocol;
pub use self::object::{Stream, This};
pub use self::sending::{is_stream, write_to};

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

static METHODS: Definitions<ffi::PyMethodDef> = common::methods![
    Stream,
    "SocketTransport",
    set_protocol,
    method!(one "SocketTransport", c"write", "data", sending::write, c"write($self, data)\n--\n\n\
        Write bytes-like data, now as far as there is room and the rest later.\n\nRaises TypeError \
        if it is not bytes-like, RuntimeError after write_eof()."),
    method!(one "SocketTransport", c"writelines", "list_of_data", sending::writelines,
        c"writelines($self, list_of_data)\n--\n\n\
            Write the items of an iterable, by one system call if there is room."),
    method!(none c"write_eof", sending::write_eof, c"write_eof($self, /)\n--\n\n\
        Close the writing half once everything is written; reading goes on."),
    method!(none c"can_write_eof", sending::can_write_eof, c"can_write_eof($self, /)\n--\n\n\
        True: a stream socket has a writing half."),
    method!(none c"_begin", making::begin, c"_begin($self, /)\n--\n\n"),
    method!(none c"_begin_tls", making::begin_tls, c"_begin_tls($self, /)\n--\n\n"),
    method!(none c"_tell", beginning::tell::<Stream>, c"_tell($self, /)\n--\n\n"),
    method!(none c"_wake", beginning::wake::<Stream>, c"_wake($self, /)\n--\n\n"),
    method!(none c"_read_ready", receiving::read_ready, c"_read_ready($self, /)\n--\n\n"),
    method!(none c"_write_ready", sending::write_ready, c"_write_ready($self, /)\n--\n\n"),
    method!(none c"_make_empty_waiter", sending::make_empty_waiter, c"_make_empty_waiter($self, /)\n--\n\n"),
    method!(none c"_reset_empty_waiter", sending::reset_empty_waiter,
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
        sending::set_empty_waiter(
            this,
            Err(PyConnectionError::new_err("Connection is closed by peer")),
        )
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
        &receiving::READ
    }
}

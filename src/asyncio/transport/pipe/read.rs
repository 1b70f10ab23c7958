//! `ReadPipeTransport`: the reading end of a pipe, or a socket or character device that is read
//! like one.
//!
//! The semantics are those of `asyncio.unix_events._UnixReadPipeTransport`.

use std::cell::Cell;
use std::ffi::CStr;
use std::io;

use pyo3::exceptions::PyOSError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::common::{self, Piped};
use crate::asyncio::class::border::attached;
use crate::asyncio::class::buffer::to_bytes;
use crate::asyncio::class::extension::{Class, Extension, Instance};
use crate::asyncio::class::methods::{Definitions, LAST_PROPERTY};
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::class::wrappers::{method, property};
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::reading::{self, Reading};
use crate::asyncio::transport::shared::{self, Transport};
use crate::core::Direction;
use crate::io::pipe::read;

type This<'py> = Instance<'py, ReadPipe>;

/// The reading end of a pipe.
pub struct ReadPipe {
    channel: Channel,
    is_paused: Cell<bool>,
}

static READ: EventHandler = EventHandler {
    method: "_read_ready",
    run: |this| read_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

impl ReadPipe {
    /// Makes the transport of a Python file object or socket, which then belongs to the transport.
    /// The protocol is told in the loop's next iteration, reading starts, and `waiter`, a future,
    /// is done.
    ///
    /// # Errors
    /// `ValueError` if it is neither a pipe nor a socket nor a character device.
    pub fn of_file<'py>(
        event_loop: &Bound<'py, Loop>,
        file: &Bound<'py, PyAny>,
        protocol: &Bound<'py, PyAny>,
        waiter: Option<Bound<'py, PyAny>>,
        extra: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let refusal = "Pipe transport is for pipes/sockets only.";
        let (channel, _) = common::open(event_loop, file, protocol, refusal)?;
        let this = This::new(event_loop.py(), ReadPipe { channel, is_paused: Cell::new(false) })?;
        common::set_extra(&this, extra)?;
        common::register(&this, event_loop)?;
        shared::begin_soon(&this, protocol, Some("_start_reading"), waiter)?;
        Ok(this.as_any().clone())
    }
}

fn read_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Read) {
        return Ok(());
    }
    let py = this.py();
    let Some(protocol) = this.channel.protocol(py) else { return Ok(()) };
    let received = this.channel.driver().client().read_buffer().lend(|scratch| {
        let count = this.channel.lend(py, |fd| read(fd, scratch))?;
        io::Result::Ok((count > 0).then(|| to_bytes(py, &scratch[..count])))
    })?;
    match received {
        // What the protocol raises does not end the connection. It is reported as any callback's
        // exception.
        Ok(Some(Ok(data))) => {
            protocol.call_method1(intern!(py, "data_received"), (data,)).map(drop)
        }
        // What was read is lost. Later data must not be taken for its continuation.
        Ok(Some(Err(error))) => ending::failed(this, error, "Fatal read error on pipe transport"),
        Ok(None) => end_of_file(this, &protocol),
        Err(error) if io::Error::kind(&error) == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => ending::failed(this, os_error(error), "Fatal read error on pipe transport"),
    }
}

fn end_of_file(this: &This<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
    common::log_closed_by_peer(this)?;
    this.channel.set_closing();
    shared::unwatch(this, Direction::Read)?;
    this.channel.call_soon(protocol.getattr(intern!(this.py(), "eof_received"))?, &[])?;
    ending::lose_soon(this, this.py().None().into_bound(this.py()))
}

fn close(this: &This<'_>) -> PyResult<()> {
    if this.channel.is_closing() {
        return Ok(());
    }
    ending::abort(this)
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    method!(none c"is_reading", reading::is_reading::<ReadPipe>, c"is_reading($self, /)\n--\n\n\
        Whether the protocol gets what arrives."),
    method!(none c"pause_reading", reading::pause_reading::<ReadPipe>,
        c"pause_reading($self, /)\n--\n\nGive the protocol nothing until resume_reading()."),
    method!(none c"resume_reading", reading::resume_reading::<ReadPipe>,
        c"resume_reading($self, /)\n--\n\nUndo pause_reading()."),
    method!(none c"close", close, c"close($self, /)\n--\n\n\
        Stop reading, then call protocol.connection_lost(None)."),
    method!(none c"is_closing", shared::is_closing::<ReadPipe>, c"is_closing($self, /)\n--\n\n\
        Whether the transport is closed or about to be."),
    method!(one "ReadPipeTransport", c"set_protocol", "protocol", shared::set_protocol::<ReadPipe>,
        c"set_protocol($self, protocol)\n--\n\nHand the pipe over to another Protocol."),
    method!(none c"get_protocol", shared::get_protocol::<ReadPipe>,
        c"get_protocol($self, /)\n--\n\nThe protocol; None once the pipe is closed."),
    method!(none c"_start_reading", reading::start_reading::<ReadPipe>,
        c"_start_reading($self, /)\n--\n\n"),
    method!(none c"_read_ready", read_ready, c"_read_ready($self, /)\n--\n\n"),
    method!(one "ReadPipeTransport", c"_call_connection_lost", "exc",
        ending::connection_lost::<ReadPipe>,
        c"_call_connection_lost($self, exc)\n--\n\n"),
    method!(none c"_lose", ending::lose::<ReadPipe>, c"_lose($self, /)\n--\n\n"),
    ffi::PyMethodDef::zeroed(),
]);

/// The private side, under asyncio's names.
static PROPERTIES: Definitions<ffi::PyGetSetDef> = Definitions(&[
    property!(c"_pipe", common::object::<ReadPipe>, common::set_object::<ReadPipe>),
    property!(c"_fileno", shared::fd::<ReadPipe>),
    property!(c"_loop", shared::event_loop::<ReadPipe>),
    property!(c"_protocol", shared::get_protocol::<ReadPipe>),
    property!(c"_closing", shared::is_closing::<ReadPipe>),
    property!(c"_paused", reading::is_reading_paused::<ReadPipe>),
    LAST_PROPERTY,
]);

static READ_PIPE: PyOnceLock<Class> = PyOnceLock::new();

impl Transport for ReadPipe {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    /// A terminal whose other side is closed fails with EIO.
    fn is_expected(error: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(error.is_instance_of::<PyOSError>()
            && error.getattr("errno")?.eq(rustix::io::Errno::IO.raw_os_error())?)
    }

    fn let_go(this: &This<'_>) -> PyResult<()> {
        common::let_go(this)
    }
}

impl Reading for ReadPipe {
    fn is_paused(&self) -> &Cell<bool> {
        &self.is_paused
    }

    fn read_event() -> &'static EventHandler {
        &READ
    }
}

impl Piped for ReadPipe {
    const END: Direction = Direction::Read;
}

impl Extension for ReadPipe {
    const NAME: &'static CStr = c"qtloop._core.ReadPipeTransport";
    const BASES: &'static [(&'static str, &'static str)] =
        &[("asyncio.transports", "ReadTransport")];

    fn class() -> &'static PyOnceLock<Class> {
        &READ_PIPE
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
    }

    fn clear(&self) {
        attached(|py| self.channel.release(py));
    }

    fn finalize(this: &This<'_>) -> PyResult<()> {
        ending::finalize(this)
    }
}

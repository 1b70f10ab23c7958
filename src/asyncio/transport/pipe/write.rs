//! `WritePipeTransport`: the writing end of a pipe, or a socket or character device that is written
//! like one.
//!
//! The semantics are those of `asyncio.unix_events._UnixWritePipeTransport`.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::io;

use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyOSError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::common::{self, Piped};
use crate::asyncio::class::border::attached;
use crate::asyncio::class::buffer::{Chunk, Data};
use crate::asyncio::class::extension::{Class, Extension, Instance};
use crate::asyncio::class::methods::{Definitions, LAST_PROPERTY};
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::class::wrappers::{method, property};
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow::{self, Flowing};
use crate::asyncio::transport::shared::{self, Transport};
use crate::core::Direction;
use crate::io::pipe::{FileKind, write as write_some, write_many};
use crate::io::{Outgoing, Watermarks};

type This<'py> = Instance<'py, WritePipe>;

/// The writing end of a pipe.
pub struct WritePipe {
    channel: Channel,
    outgoing: RefCell<Outgoing<Chunk>>,
    marks: Cell<Watermarks>,
    /// How often something was written in vain, because the pipe is closed or about to be.
    in_vain: Cell<u32>,
}

static WRITE: EventHandler = EventHandler {
    method: "_write_ready",
    run: |this| write_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Write),
};

/// The event of the reader closing its end, which the system reports as an event for reading.
static HANG_UP: EventHandler = EventHandler {
    method: "_read_ready",
    run: |this| read_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

impl WritePipe {
    /// Makes the transport of a Python file object or socket, which then belongs to the transport.
    /// The protocol is told in the loop's next iteration, and `waiter`, a future, is done.
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
        let refusal = "Pipe transport is only for pipes, sockets and character devices";
        let (channel, kind) = common::open(event_loop, file, protocol, refusal)?;
        let (outgoing, marks, in_vain) = Default::default();
        let this = This::new(event_loop.py(), WritePipe { channel, outgoing, marks, in_vain })?;
        common::set_extra(&this, extra)?;
        common::register(&this, event_loop)?;
        // A character device, a terminal for instance, may well be readable.
        let start = (kind != FileKind::Character).then_some("_watch_reader");
        shared::begin_soon(&this, protocol, start, waiter)?;
        Ok(this.as_any().clone())
    }
}

fn watch_reader(this: &This<'_>) -> PyResult<()> {
    if this.channel.is_lost() {
        return Ok(());
    }
    this.channel.watch(this.as_any(), Direction::Read, &HANG_UP)
}

fn read_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Read) {
        return Ok(());
    }
    common::log_closed_by_peer(this)?;
    let py = this.py();
    let is_written = this.outgoing.borrow().is_empty();
    let error = (!is_written)
        .then(|| PyBrokenPipeError::new_err(()).into_value(py).into_bound(py).into_any());
    ending::force_close(this, &shared::or_none(py, error))
}

// Writing.

fn write(this: &This<'_>, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let data = match Data::new(object) {
        Ok(data) => data,
        Err(error) if error.is_instance_of::<PyTypeError>(this.py()) => {
            return Err(PyAssertionError::new_err(object.repr()?.unbind()));
        }
        // Memory in several pieces fails when it is written or when it is queued.
        Err(error) if this.outgoing.borrow().is_empty() => return write_failed(this, error),
        Err(error) => return Err(error),
    };
    let size = data.as_slice().len();
    if size == 0 {
        return Ok(());
    }
    if this.channel.is_closing() {
        return written_in_vain(this);
    }
    let mut written = 0;
    if this.outgoing.borrow().is_empty() {
        match this.channel.lend(this.py(), |fd| write_some(fd, data.as_slice())) {
            Ok(count) if count == size => return Ok(()),
            Ok(count) => written = count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                drop(data);
                return write_failed(this, os_error(error));
            }
        }
    }
    let (chunk, start) = data.into_chunk(written)?;
    if this.outgoing.borrow().is_empty() {
        this.channel.watch(this.as_any(), Direction::Write, &WRITE)?;
    }
    this.outgoing.borrow_mut().push(chunk, start);
    flow::has_grown(this)
}

fn written_in_vain(this: &This<'_>) -> PyResult<()> {
    let before = this.in_vain.replace(this.in_vain.get().saturating_add(1));
    let warning = "pipe closed by peer or os.write(pipe, data) raised exception.";
    shared::written_in_vain(this.py(), before, warning)
}

fn write_failed(this: &This<'_>, error: PyErr) -> PyResult<()> {
    WritePipe::drop_outgoing(this);
    this.in_vain.set(this.in_vain.get().saturating_add(1));
    shared::unwatch(this, Direction::Write)?;
    ending::failed(this, error, "Fatal write error on pipe transport")
}

fn write_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Write) || this.outgoing.borrow().is_empty() {
        return Ok(());
    }
    let written = this.outgoing.borrow().with_slices(|slices| match slices {
        [only] => this.channel.lend(this.py(), |fd| write_some(fd, only)),
        several => this.channel.lend(this.py(), |fd| write_many(fd, several)),
    });
    match written {
        Ok(count) => {
            let done = this.outgoing.borrow_mut().advance(count);
            drop(done);
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return write_failed(this, os_error(error)),
    }
    // As with asyncio, the protocol may go on when nothing is left to write, whatever the low water
    // mark is.
    if this.outgoing.borrow().is_empty() { all_is_written(this) } else { Ok(()) }
}

fn all_is_written(this: &This<'_>) -> PyResult<()> {
    shared::unwatch(this, Direction::Write)?;
    let told = flow::has_shrunk(this); // The protocol may write again, or close.
    if !this.channel.is_closing() || this.channel.is_lost() || !this.outgoing.borrow().is_empty() {
        return told;
    }
    this.channel.count_lost();
    shared::unwatch(this, Direction::Read)?;
    let ended = ending::connection_lost(this, &this.py().None().into_bound(this.py()));
    finally(this.py(), told, ended)
}

// The end.

/// A pipe is closed in the way its writing half is: when everything is written.
fn write_eof(this: &This<'_>) -> PyResult<()> {
    if this.channel.is_closing() {
        return Ok(());
    }
    this.channel.set_closing();
    if this.outgoing.borrow().is_empty() { ending::abort(this) } else { Ok(()) }
}

fn can_write_eof(_: &This<'_>) -> PyResult<bool> {
    Ok(true)
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    method!(one "WritePipeTransport", c"write", "data", write, c"write($self, data)\n--\n\n\
        Write bytes-like data, now as far as there is room and the rest later.\n\nRaises \
        AssertionError if it is not bytes-like."),
    method!(none c"write_eof", write_eof, c"write_eof($self, /)\n--\n\n\
        Close the pipe once everything is written, then call protocol.connection_lost(None)."),
    method!(none c"can_write_eof", can_write_eof, c"can_write_eof($self, /)\n--\n\n\
        True: it closes the pipe."),
    method!(none c"close", write_eof, c"close($self, /)\n--\n\n\
        Write what waits to be written, then call protocol.connection_lost(None)."),
    method!(none c"abort", ending::abort::<WritePipe>, c"abort($self, /)\n--\n\n\
        Close at once: what waits to be written is lost."),
    method!(none c"is_closing", shared::is_closing::<WritePipe>, c"is_closing($self, /)\n--\n\n\
        Whether the transport is closed or about to be."),
    method!(one "WritePipeTransport", c"set_protocol", "protocol",
        shared::set_protocol::<WritePipe>,
        c"set_protocol($self, protocol)\n--\n\nHand the pipe over to another protocol."),
    method!(none c"get_protocol", shared::get_protocol::<WritePipe>,
        c"get_protocol($self, /)\n--\n\nThe protocol; None once the pipe is closed."),
    method!(none c"get_write_buffer_size", flow::get_write_buffer_size::<WritePipe>,
        c"get_write_buffer_size($self, /)\n--\n\nHow many bytes wait to be written."),
    method!(none c"get_write_buffer_limits", flow::get_write_buffer_limits::<WritePipe>,
        c"get_write_buffer_limits($self, /)\n--\n\nThe low and the high water mark, in bytes."),
    method!(any "WritePipeTransport", c"set_write_buffer_limits",
        flow::set_write_buffer_limits::<WritePipe>,
        c"set_write_buffer_limits($self, high=None, low=None)\n--\n\n\
            Set the marks, in bytes: above the high one protocol.pause_writing() is called, and \
            resume_writing() when all is written.\n\nRaises ValueError unless high >= low >= 0."),
    method!(none c"_watch_reader", watch_reader, c"_watch_reader($self, /)\n--\n\n"),
    method!(none c"_read_ready", read_ready, c"_read_ready($self, /)\n--\n\n"),
    method!(none c"_write_ready", write_ready, c"_write_ready($self, /)\n--\n\n"),
    method!(one "WritePipeTransport", c"_call_connection_lost", "exc",
        ending::connection_lost::<WritePipe>,
        c"_call_connection_lost($self, exc)\n--\n\n"),
    method!(none c"_lose", ending::lose::<WritePipe>, c"_lose($self, /)\n--\n\n"),
    ffi::PyMethodDef::zeroed(),
]);

/// The private side, under asyncio's names.
static PROPERTIES: Definitions<ffi::PyGetSetDef> = Definitions(&[
    property!(c"_pipe", common::object::<WritePipe>, common::set_object::<WritePipe>),
    property!(c"_fileno", shared::fd::<WritePipe>),
    property!(c"_loop", shared::event_loop::<WritePipe>),
    property!(c"_protocol", shared::get_protocol::<WritePipe>),
    property!(c"_protocol_paused", flow::is_protocol_paused::<WritePipe>),
    property!(c"_closing", shared::is_closing::<WritePipe>),
    LAST_PROPERTY,
]);

static WRITE_PIPE: PyOnceLock<Class> = PyOnceLock::new();

impl Transport for WritePipe {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn drop_outgoing(this: &This<'_>) {
        let dropped = this.outgoing.borrow_mut().take_all();
        drop(dropped);
    }

    fn is_expected(error: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(error.is_instance_of::<PyOSError>())
    }

    fn let_go(this: &This<'_>) -> PyResult<()> {
        common::let_go(this)
    }
}

impl Flowing for WritePipe {
    fn marks(&self) -> &Cell<Watermarks> {
        &self.marks
    }

    fn waiting(&self) -> usize {
        self.outgoing.borrow().len()
    }
}

impl Piped for WritePipe {
    const END: Direction = Direction::Write;

    fn size(&self) -> Option<usize> {
        Some(self.waiting())
    }
}

impl Extension for WritePipe {
    const NAME: &'static CStr = c"qtloop._core.WritePipeTransport";
    /// A WriteTransport, and as with asyncio a Transport too. Its flow control in Python is not
    /// used.
    const BASES: &'static [(&'static str, &'static str)] =
        &[("asyncio.transports", "_FlowControlMixin")];

    fn class() -> &'static PyOnceLock<Class> {
        &WRITE_PIPE
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

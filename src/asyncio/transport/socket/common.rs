//! What the transports of sockets have in common.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::extra_info::Socket;
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::open_file;
use crate::asyncio::plain_socket::kind_of;
use crate::asyncio::python_half;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow::Flowing;
use crate::asyncio::transport::reading::Reading;
use crate::asyncio::transport::shared;
use crate::core::Direction;
use crate::io::socket;

/// The transport of a socket.
pub trait Socketed: Flowing + Reading {
    fn socket(&self) -> &Socket;
    /// Whether nothing waits to be written. What does wait may have no bytes.
    fn is_flushed(&self) -> bool;

    /// The socket is closed: others than the protocol may have to know.
    ///
    /// # Errors
    /// What telling them raises.
    fn detach(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// The loop knows whose fd it is. Whoever watched the number before had another file, or gives way.
pub fn register<T: Socketed>(this: &Instance<'_, T>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    event_loop.get().transports().insert(
        this.channel().number(),
        this.as_any(),
        has_its_fd::<T>,
    )?;
    this.channel().forsake(this.py())
}

/// Switches Nagle's algorithm off, if the socket has it.
///
/// # Errors
/// The system call's.
pub fn set_nodelay(socket: &Bound<'_, PyAny>) -> PyResult<()> {
    match kind_of(socket)? {
        Some(kind) if kind.is_tcp() => {
            open_file::lend(socket, socket::set_nodelay).map_err(os_error)
        }
        Some(_) => Ok(()),
        None => python_half::transports(socket.py())?
            .call_method1(intern!(socket.py(), "set_nodelay"), (socket,))
            .map(drop),
    }
}

/// Whether the transport has its fd still, which the program may have closed.
pub fn has_its_fd<T: Socketed>(transport: &Bound<'_, PyAny>) -> bool {
    let py = transport.py();
    Instance::<T>::of(transport).is_ok_and(|this| this.channel().file().open_number(py).is_ok())
}

/// Something was written to a connection that is lost.
pub fn written_in_vain<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    let lost = this.channel().lost();
    this.channel().count_lost();
    shared::written_in_vain(this.py(), lost, "socket.send() raised exception.")
}

// The end.

pub fn close<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    if this.channel().is_closing() {
        return Ok(());
    }
    this.channel().set_closing();
    shared::unwatch(this, Direction::Read)?;
    if !this.is_flushed() {
        return Ok(());
    }
    shared::unwatch(this, Direction::Write)?;
    ending::lose_soon(this, this.py().None().into_bound(this.py()))
}

/// Closes the socket, and lets the loop and others know.
pub fn let_go<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    if let Some(event_loop) = channel.event_loop(py) {
        event_loop.get().transports().remove(channel.number(), this.as_any());
    }
    T::drop_outgoing(this);
    let remembered = this.socket().remember(py, channel.file());
    // sendfile, which the fd was lent to.
    let forsaken = channel.forsake(py);
    let closed = channel.close(this.as_any());
    finally(py, finally(py, remembered, forsaken), finally(py, closed, T::detach(this)))
}

/// `_fatal_error(exc, message)`: for asyncio's sslproto.
pub fn fatal_error<T: Socketed>(this: &Instance<'_, T>, arguments: &Arguments<'_>) -> PyResult<()> {
    let [error, message] = arguments.all(this.py(), ["exc", "message"], 1)?;
    let message = message.map(|message| message.extract::<String>()).transpose()?;
    ending::fail(
        this,
        &shared::or_none(this.py(), error),
        message.as_deref().unwrap_or("Fatal error on transport"),
    )
}

// What can be asked.

pub fn get_extra_info<'py, T: Socketed>(
    this: &Instance<'py, T>,
    arguments: &Arguments<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let [name, default] = arguments.all(py, ["name", "default"], 1)?;
    let name = shared::or_none(py, name);
    let known = match this.socket().given(&name)? {
        Some(known) => known,
        None => this.socket().extra(py, this.channel().file())?.get_item(name)?,
    };
    Ok(shared::or_none(py, known.or(default)))
}

pub fn extra<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyDict>> {
    this.socket().extra(this.py(), this.channel().file())
}

pub fn object<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    Ok(shared::or_none(this.py(), this.channel().file().socket(this.py())?))
}

/// Python's `repr`.
pub fn repr<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    let [reads, writes] =
        [Direction::Read, Direction::Write].map(|direction| this.channel().is_watched(direction));
    let state =
        (this.channel().file().is_closed(), this.channel().is_closing(), shared::is_alive(this));
    let arguments = (this.as_any(), state, this.channel().number(), reads, writes, this.waiting());
    python_half::transports(this.py())?.call_method1(intern!(this.py(), "describe"), arguments)
}

/// The table of a transport's methods: its own, then those that all have. `$name` is the class's
/// name in messages.
macro_rules! methods {
    ($class:ty, $name:literal, $set_protocol:path, $($own:expr),+ $(,)?) => {
        $crate::asyncio::class::methods::Definitions(&[
            $($own,)+
            method!(none c"close", common::close::<$class>, c"close($self, /)\n--\n\n\
                Stop reading, write what waits to be written, then call \
                protocol.connection_lost(None)."),
            method!(none c"abort", ending::abort::<$class>, c"abort($self, /)\n--\n\n\
                Close at once: what waits to be written is lost."),
            method!(none c"is_closing", shared::is_closing::<$class>,
                c"is_closing($self, /)\n--\n\nWhether the transport is closed or about to be."),
            method!(none c"is_reading", reading::is_reading::<$class>,
                c"is_reading($self, /)\n--\n\nWhether the protocol gets what arrives."),
            method!(none c"pause_reading", reading::pause_reading::<$class>,
                c"pause_reading($self, /)\n--\n\n\
                    Give the protocol nothing until resume_reading()."),
            method!(none c"resume_reading", reading::resume_reading::<$class>,
                c"resume_reading($self, /)\n--\n\nUndo pause_reading()."),
            method!(one $name, c"set_protocol", "protocol", $set_protocol,
                c"set_protocol($self, protocol)\n--\n\n\
                    Hand the connection over to another protocol."),
            method!(none c"get_protocol", shared::get_protocol::<$class>,
                c"get_protocol($self, /)\n--\n\nThe protocol; None once the connection is lost."),
            method!(any $name, c"get_extra_info", common::get_extra_info::<$class>,
                c"get_extra_info($self, name, default=None)\n--\n\n\
                    What is known under a name: 'socket', 'sockname', 'peername' and what TLS \
                    adds."),
            method!(none c"get_write_buffer_size", flow::get_write_buffer_size::<$class>,
                c"get_write_buffer_size($self, /)\n--\n\nHow many bytes wait to be written."),
            method!(none c"get_write_buffer_limits", flow::get_write_buffer_limits::<$class>,
                c"get_write_buffer_limits($self, /)\n--\n\n\
                    The low and the high water mark, in bytes."),
            method!(any $name, c"set_write_buffer_limits", flow::set_write_buffer_limits::<$class>,
                c"set_write_buffer_limits($self, high=None, low=None)\n--\n\n\
                    Set the marks, in bytes: above the high one protocol.pause_writing() is \
                    called, at the low one resume_writing().\n\nRaises ValueError unless high >= \
                    low >= 0."),
            method!(none c"_start_reading", reading::start_reading::<$class>,
                c"_start_reading($self, /)\n--\n\n"),
            method!(one $name, c"_call_connection_lost", "exc", ending::connection_lost::<$class>,
                c"_call_connection_lost($self, exc)\n--\n\n"),
            method!(none c"_lose", ending::lose::<$class>, c"_lose($self, /)\n--\n\n"),
            method!(one $name, c"_force_close", "exc", ending::force_close::<$class>,
                c"_force_close($self, exc)\n--\n\n"),
            method!(any $name, c"_fatal_error", common::fatal_error::<$class>,
                c"_fatal_error($self, exc, message='Fatal error on transport')\n--\n\n"),
            pyo3::ffi::PyMethodDef::zeroed(),
        ])
    };
}

/// The table of a transport's properties: what asyncio's own code reads of its private side.
macro_rules! properties {
    ($class:ty) => {
        $crate::asyncio::class::methods::Definitions(&[
            property!(c"_sock", common::object::<$class>),
            property!(c"_sock_fd", shared::fd::<$class>),
            property!(c"_loop", shared::event_loop::<$class>),
            property!(c"_extra", common::extra::<$class>),
            property!(c"_protocol", shared::get_protocol::<$class>),
            property!(c"_protocol_paused", flow::is_protocol_paused::<$class>),
            property!(c"_paused", reading::is_reading_paused::<$class>),
            $crate::asyncio::class::methods::LAST_PROPERTY,
        ])
    };
}

pub(super) use {methods, properties};

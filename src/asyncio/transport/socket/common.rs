//! What the transports of sockets have in common.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::extra_info::Socket;
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::{finally, is_fatal};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::helpers;
use crate::asyncio::item::Event;
use crate::asyncio::transport::flow::Flowing;
use crate::asyncio::transport::shared;
use crate::core::Direction;

/// The transport of a socket.
pub trait Socketed: Flowing {
    fn socket(&self) -> &Socket;
    /// Whether the protocol wants nothing to read for now.
    fn is_paused(&self) -> &Cell<bool>;
    /// What happens when there is something to read.
    fn read_event() -> &'static Event;
    /// Whether nothing waits to be written. What does wait may have no bytes.
    fn is_flushed(&self) -> bool;
    /// Drops what waits to be written.
    fn drop_outgoing(this: &Instance<'_, Self>);

    /// The socket is closed: others than the protocol may have to know.
    fn detach(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }

    /// The connection is lost, and the protocol knows.
    fn ended(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// The loop knows whose fd it is. Whoever watched the number before had another file, or gives way.
pub fn register<T: Socketed>(this: &Instance<'_, T>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
    event_loop.get().transports().insert(this.channel().number(), this.as_any(), has_its_fd::<T>)?;
    this.channel().forsake(this.py())
}

/// Whether the transport has its fd still, which the program may have closed.
pub fn has_its_fd<T: Socketed>(transport: &Bound<'_, PyAny>) -> bool {
    let py = transport.py();
    Instance::<T>::of(transport).is_ok_and(|this| this.channel().owner().open_number(py).is_ok())
}

// Reading and writing.

pub fn start_reading<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    if !is_reading(this)? {
        return Ok(());
    }
    this.channel().watch(this.as_any(), Direction::Read, T::read_event())
}

pub fn is_reading<T: Socketed>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(!this.channel().is_closing() && !this.is_paused().get())
}

/// Whether the protocol wants nothing to read for now, be the transport closed or not.
pub fn is_reading_paused<T: Socketed>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(this.is_paused().get())
}

pub fn pause_reading<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    if !is_reading(this)? {
        return Ok(());
    }
    this.is_paused().set(true);
    shared::unwatch(this, Direction::Read)?;
    shared::log(this, "%r pauses reading")
}

pub fn resume_reading<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    if this.channel().is_closing() || !this.is_paused().replace(false) {
        return Ok(());
    }
    start_reading(this)?;
    shared::log(this, "%r resumes reading")
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
    shared::lose_soon(this, this.py().None().into_bound(this.py()))
}

pub fn abort<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    force_close(this, &this.py().None().into_bound(this.py()))
}

pub fn force_close<T: Socketed>(this: &Instance<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    if this.channel().is_lost() {
        return Ok(());
    }
    T::drop_outgoing(this);
    shared::unwatch(this, Direction::Write)?;
    if !this.channel().is_closing() {
        this.channel().set_closing();
        shared::unwatch(this, Direction::Read)?;
    }
    shared::lose_soon(this, error.clone())
}

pub fn connection_lost<T: Socketed>(this: &Instance<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let told = shared::tell_lost(this, error);
    let closed = let_go(this);
    this.channel().release(this.py());
    let ended = T::ended(this);
    finally(this.py(), finally(this.py(), told, closed), ended)
}

/// Closes the socket, and lets the loop and others know.
fn let_go<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    if let Some(event_loop) = channel.event_loop(py) {
        event_loop.get().transports().remove(channel.number(), this.as_any());
    }
    T::drop_outgoing(this);
    let remembered = this.socket().remember(py, channel.owner());
    // sendfile, which the fd was lent to.
    let forsaken = channel.forsake(py);
    let closed = channel.close(this.as_any());
    finally(py, finally(py, remembered, forsaken), finally(py, closed, T::detach(this)))
}

/// Nobody refers to the transport any more.
pub fn finalize<T: Socketed>(this: &Instance<'_, T>) -> PyResult<()> {
    if this.channel().owner().is_closed() {
        return Ok(());
    }
    let warned = helpers::transports(this.py())
        .and_then(|module| module.call_method1("warn_unclosed", (this.as_any(),)))
        .map(drop);
    finally(this.py(), warned, let_go(this))
}

/// Something failed that ends the connection; but what leaves the loop goes on to do so.
pub fn failed<T: Socketed>(this: &Instance<'_, T>, error: PyErr, message: &str) -> PyResult<()> {
    let py = this.py();
    if is_fatal(py, &error) {
        return Err(error);
    }
    let error = error.into_value(py).into_bound(py).into_any();
    fail(this, error, message)
}

fn fail<'py, T: Socketed>(this: &Instance<'py, T>, error: Bound<'py, PyAny>, message: &str) -> PyResult<()> {
    let py = this.py();
    let (event_loop, protocol) = (this.channel().event_loop(py), this.channel().protocol(py));
    helpers::transports(py)?.call_method1("fatal_error", (event_loop, message, &error, this.as_any(), protocol))?;
    force_close(this, &error)
}

/// `_fatal_error(exc, message)`: for asyncio's sslproto.
pub fn fatal_error<T: Socketed>(this: &Instance<'_, T>, arguments: &Arguments<'_>) -> PyResult<()> {
    let [error, message] = arguments.all(this.py(), ["exc", "message"], 1)?;
    let message = message.map(|message| message.extract::<String>()).transpose()?;
    fail(this, shared::or_none(this.py(), error), message.as_deref().unwrap_or("Fatal error on transport"))
}

// What can be asked.

pub fn get_extra_info<'py, T: Socketed>(
    this: &Instance<'py, T>,
    arguments: &Arguments<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let [name, default] = arguments.all(py, ["name", "default"], 1)?;
    let value = this.socket().extra(py, this.channel().owner())?.get_item(name)?;
    Ok(shared::or_none(py, value.or(default)))
}

pub fn extra<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyDict>> {
    this.socket().extra(this.py(), this.channel().owner())
}

pub fn object<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    Ok(shared::or_none(this.py(), this.channel().owner().socket(this.py())?))
}

/// Python's `repr`.
pub fn repr<'py, T: Socketed>(this: &Instance<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    let [reads, writes] = [Direction::Read, Direction::Write].map(|direction| this.channel().is_watched(direction));
    let state = (this.channel().owner().is_closed(), this.channel().is_closing(), shared::is_alive(this));
    let arguments = (this.as_any(), state, this.channel().number(), reads, writes, this.waiting());
    helpers::transports(this.py())?.call_method1(intern!(this.py(), "describe"), arguments)
}

/// The table of a transport's methods: its own, then those that all have. `$name` is the class's name in messages.
macro_rules! methods {
    ($class:ty, $name:literal, $set_protocol:path, $($own:expr),+ $(,)?) => {
        $crate::asyncio::class::extension::Table(&[
            $($own,)+
            method!(none c"close", common::close::<$class>, c"close($self, /)\n--\n\nStop reading, write what waits to be written, then call protocol.connection_lost(None)."),
            method!(none c"abort", common::abort::<$class>, c"abort($self, /)\n--\n\nClose at once: what waits to be written is lost."),
            method!(none c"is_closing", shared::is_closing::<$class>, c"is_closing($self, /)\n--\n\nWhether the transport is closed or about to be."),
            method!(none c"is_reading", common::is_reading::<$class>, c"is_reading($self, /)\n--\n\nWhether the protocol gets what arrives."),
            method!(none c"pause_reading", common::pause_reading::<$class>, c"pause_reading($self, /)\n--\n\nGive the protocol nothing until resume_reading()."),
            method!(none c"resume_reading", common::resume_reading::<$class>, c"resume_reading($self, /)\n--\n\nUndo pause_reading()."),
            method!(one $name, c"set_protocol", "protocol", $set_protocol, c"set_protocol($self, protocol)\n--\n\nHand the connection over to another protocol."),
            method!(none c"get_protocol", shared::get_protocol::<$class>, c"get_protocol($self, /)\n--\n\nThe protocol; None once the connection is lost."),
            method!(any $name, c"get_extra_info", common::get_extra_info::<$class>, c"get_extra_info($self, name, default=None)\n--\n\nWhat is known under a name: 'socket', 'sockname', 'peername' and what TLS adds."),
            method!(none c"get_write_buffer_size", flow::get_write_buffer_size::<$class>, c"get_write_buffer_size($self, /)\n--\n\nHow many bytes wait to be written."),
            method!(none c"get_write_buffer_limits", flow::get_write_buffer_limits::<$class>, c"get_write_buffer_limits($self, /)\n--\n\nThe low and the high water mark, in bytes."),
            method!(any $name, c"set_write_buffer_limits", flow::set_write_buffer_limits::<$class>, c"set_write_buffer_limits($self, high=None, low=None)\n--\n\nSet the marks, in bytes: above the high one protocol.pause_writing() is called, at the low one resume_writing().\n\nRaises ValueError unless high >= low >= 0."),
            method!(none c"_start_reading", common::start_reading::<$class>, c"_start_reading($self, /)\n--\n\n"),
            method!(one $name, c"_call_connection_lost", "exc", common::connection_lost::<$class>, c"_call_connection_lost($self, exc)\n--\n\n"),
            method!(one $name, c"_force_close", "exc", common::force_close::<$class>, c"_force_close($self, exc)\n--\n\n"),
            method!(any $name, c"_fatal_error", common::fatal_error::<$class>, c"_fatal_error($self, exc, message='Fatal error on transport')\n--\n\n"),
            pyo3::ffi::PyMethodDef::zeroed(),
        ])
    };
}

/// The table of a transport's properties: what asyncio's own code reads of its private side.
macro_rules! properties {
    ($class:ty) => {
        $crate::asyncio::class::extension::Table(&[
            property!(c"_sock", common::object::<$class>),
            property!(c"_sock_fd", shared::fd::<$class>),
            property!(c"_loop", shared::event_loop::<$class>),
            property!(c"_extra", common::extra::<$class>),
            property!(c"_protocol", shared::get_protocol::<$class>),
            property!(c"_protocol_paused", flow::is_protocol_paused::<$class>),
            property!(c"_paused", common::is_reading_paused::<$class>),
            // SAFETY: a definition without a name ends the table.
            unsafe { std::mem::zeroed() },
        ])
    };
}

pub(super) use {methods, properties};

//! How a transport is made, and how the connection begins.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::object::{Receiver, Stream, This, server, set_protocol};
use super::receiving::{READ, read_ready};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::context::{copy_context, current_context};
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::reading;
use crate::asyncio::transport::shared;
use crate::asyncio::transport::socket::beginning::{self, Events};
use crate::asyncio::transport::socket::common;
use crate::asyncio::transport::socket::extra_info::Socket;
use crate::core::Direction;
use crate::io::socket;

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

impl Stream {
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

pub(super) fn begin(this: &This<'_>) -> PyResult<()> {
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
pub(super) fn begin_tls(this: &This<'_>) -> PyResult<()> {
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

//! Accepts connections.

use std::io;
use std::io::ErrorKind::{ConnectionAborted, WouldBlock};
use std::os::fd::OwnedFd;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use rustix::net::SocketAddrAny;

use super::stream::{Accepted, Stream};
use crate::asyncio::address;
use crate::asyncio::class::border::is_since;
use crate::asyncio::class::trash::Held;
use crate::asyncio::context::{copy_context, current_context, in_context};
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::{EventHandler, Item};
use crate::asyncio::open_file::{self, OpenFile, open_number_of};
use crate::asyncio::python_half;
use crate::core::{Direction, Fd};
use crate::io::socket;

/// The most connections that one event accepts. More would keep Qt waiting for milliseconds; those
/// that are left make the socket readable again.
const ACCEPTED_AT_ONCE: usize = 8;

/// A listening socket whose connections get transports.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Listener {
    event_loop: Py<Loop>,
    /// Makes a protocol for each connection.
    factory: Held,
    socket: Py<PyAny>,
    /// The number by which it is watched.
    number: Fd,
    server: Option<Py<PyAny>>,
    backlog: usize,
    /// The context in which the socket began to listen.
    context: Py<PyAny>,
    /// The context of which each connection gets a copy, for everything that happens to it. From
    /// Python 3.15 on servers have one.
    connections: Option<Py<PyAny>>,
    /// Makes the protocol below that of the program, if the connections have TLS:
    /// `qtloop._tls.Acceptance`.
    tls: Option<Py<PyAny>>,
}

/// A listener's options, as the loop's `_listen` is given them.
pub struct Options<'py> {
    pub server: Option<Bound<'py, PyAny>>,
    pub backlog: usize,
    pub connections: Option<Bound<'py, PyAny>>,
    pub tls: Option<Bound<'py, PyAny>>,
}

static ACCEPT: EventHandler = EventHandler {
    method: "_accept",
    run: |this| Listener::accept(this.cast()?),
    context: |this| Ok(this.cast::<Listener>()?.get().context.bind(this.py()).clone()),
};

impl Listener {
    /// Watches a listening socket of Python.
    pub fn listen(
        event_loop: &Bound<'_, Loop>,
        factory: Bound<'_, PyAny>,
        socket: Bound<'_, PyAny>,
        options: Options<'_>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        let number = open_number_of(&socket).map_err(os_error)?;
        let listener = Listener {
            event_loop: event_loop.clone().unbind(),
            factory: Held::new(factory.unbind()),
            socket: socket.clone().unbind(),
            number,
            server: options.server.map(Bound::unbind),
            backlog: options.backlog,
            context: current_context(py)?.unbind(),
            connections: options.connections.map(Bound::unbind),
            tls: options.tls.map(Bound::unbind),
        };
        // Accepted sockets inherit it.
        python_half::transports(py)?.call_method1(intern!(py, "set_nodelay"), (socket,))?;
        let item = Item::Event(Bound::new(py, listener)?.into_any().unbind(), &ACCEPT);
        let replaced = event_loop
            .get()
            .open_driver()?
            .watch(number, Direction::Read, item)
            .map_err(os_error)?;
        replaced.map_or(Ok(()), |replaced| replaced.cancel(py))
    }

    /// Accepts some of the connections that wait.
    fn accept(this: &Bound<'_, Listener>) -> PyResult<()> {
        for _ in 0..this.get().at_once() {
            if !Listener::is_watched(this)? {
                break; // Ended by the protocol factory, or by a callback since the event.
            }
            match open_file::lend(this.get().socket.bind(this.py()), socket::accept) {
                Ok((fd, peer)) => Listener::begin(this, fd, peer)?,
                // From Python 3.14 on the others that wait are accepted all the same.
                Err(error) if error.kind() == ConnectionAborted && is_since(14) => {}
                Err(error) => return Listener::failed(this, error),
            }
        }
        Ok(())
    }

    /// How many connections an event accepts at the most.
    fn at_once(&self) -> usize {
        // From Python 3.14 on one more, so that a backlog of 0 lets one in.
        let wanted = if is_since(14) { self.backlog.saturating_add(1) } else { self.backlog };
        wanted.clamp(1, ACCEPTED_AT_ONCE)
    }

    fn is_watched(this: &Bound<'_, Listener>) -> PyResult<bool> {
        let driver = this.get().event_loop.get().driver()?;
        Ok(driver
            .is_watched_by(this.get().number, Direction::Read, |item| item.is_of(this.as_any())))
    }

    fn unwatch(this: &Bound<'_, Listener>) -> PyResult<()> {
        let driver = this.get().event_loop.get().driver()?;
        let item =
            driver.unwatch_if(this.get().number, Direction::Read, |item| item.is_of(this.as_any()));
        item.map_or(Ok(()), |item| item.cancel(this.py()))
    }

    /// Makes protocol and transport of a connection. What fails is reported.
    fn begin(this: &Bound<'_, Listener>, fd: OwnedFd, peer: Option<SocketAddrAny>) -> PyResult<()> {
        let (py, listener) = (this.py(), this.get());
        let mut protocol = None;
        let Err(error) = Listener::begin_by(this, fd, peer, &mut protocol) else { return Ok(()) };
        python_half::transports(py)?
            .call_method1(intern!(py, "not_begun"), (&listener.event_loop, error, protocol))
            .map(drop)
    }

    /// As [`begin`](Listener::begin). `protocol` gets the program's, as soon as it is made.
    fn begin_by<'py>(
        this: &Bound<'py, Listener>,
        fd: OwnedFd,
        peer: Option<SocketAddrAny>,
        protocol: &mut Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let (py, listener) = (this.py(), this.get());
        let file = OpenFile::bare(fd);
        if listener.event_loop.get().is_debugging() {
            let accepted = (&listener.server, file.socket(py)?);
            python_half::transports(py)?.call_method1(intern!(py, "accepted"), accepted)?;
        }
        let (context, is_own) = match &listener.connections {
            Some(connections) => (copy_context(connections.bind(py))?, true),
            None => (current_context(py)?, false),
        };
        let lower = in_context(&context, || {
            let upper = protocol.insert(listener.factory.bind(py).call0()?);
            match &listener.tls {
                Some(tls) => tls.bind(py).call1((&*upper,)),
                None => Ok(upper.clone()),
            }
        })?;
        let accepted = Accepted { file, peer: address::internet(peer), context, is_own };
        let server = listener.server.as_ref().map(|server| server.bind(py));
        Stream::of_accepted(listener.event_loop.bind(py), accepted, &lower, server).map(drop)
    }

    fn failed(this: &Bound<'_, Listener>, error: io::Error) -> PyResult<()> {
        if matches!(error.kind(), WouldBlock | ConnectionAborted) {
            return Ok(());
        }
        let (py, listener) = (this.py(), this.get());
        let number = error.raw_os_error().unwrap_or_default();
        let error = os_error(error);
        if open_number_of(listener.socket.bind(py)).is_err() {
            Listener::unwatch(this)?; // The program has closed the socket: the number is another's.
            return Err(error);
        }
        let none_is_left =
            python_half::transports(py)?.getattr("OUT_OF_RESOURCES")?.contains(number)?;
        if !none_is_left {
            return Err(error);
        }
        // Nothing can be accepted for now. The socket would be reported again and again.
        Listener::unwatch(this)?;
        let again = (
            &*listener.factory,
            &listener.socket,
            &listener.tls,
            &listener.server,
            listener.backlog,
        );
        let arguments = (&listener.event_loop, error, again, &listener.connections);
        python_half::transports(py)?.call_method1(intern!(py, "accept_later"), arguments).map(drop)
    }
}

#[pymethods]
impl Listener {
    #[pyo3(name = "_accept")]
    fn accept_method(this: &Bound<'_, Listener>) -> PyResult<()> {
        Listener::accept(this)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&*self.factory)?;
        visit.call(&self.socket)?;
        visit.call(&self.server)?;
        visit.call(&self.context)?;
        visit.call(&self.connections)?;
        visit.call(&self.tls)
    }
}

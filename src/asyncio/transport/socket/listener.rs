//! Accepts connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::stream::Stream;
use crate::asyncio::address;
use crate::asyncio::class::border::is_since;
use crate::asyncio::class::trash::Held;
use crate::asyncio::context::{copy_context, current_context, in_context};
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::{EventHandler, Item};
use crate::asyncio::open_file::{self, open_number_of};
use crate::asyncio::python_half;
use crate::core::{Direction, Fd};
use crate::io::socket;

/// The most connections that one event accepts. More would keep Qt waiting for milliseconds; those
/// that are left make the socket readable again.
pub const ACCEPTED_AT_ONCE: usize = 8;

/// A listening socket whose connections get transports, without TLS.
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
        server: Option<Bound<'_, PyAny>>,
        backlog: usize,
        connections: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        let number = open_number_of(&socket).map_err(os_error)?;
        let listener = Listener {
            event_loop: event_loop.clone().unbind(),
            factory: Held::new(factory.unbind()),
            socket: socket.clone().unbind(),
            number,
            server: server.map(Bound::unbind),
            backlog,
            context: current_context(py)?.unbind(),
            connections: connections.map(Bound::unbind),
        };
        // Accepted sockets inherit it.
        python_half::transports(py)?.call_method1("set_nodelay", (socket,))?;
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
                Ok((fd, peer)) => {
                    let peer = address::internet(peer);
                    if let Err(error) = Listener::begin(this, fd, peer) {
                        python_half::transports(this.py())?
                            .call_method1("not_begun", (&this.get().event_loop, error))?;
                    }
                }
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

    fn begin(this: &Bound<'_, Listener>, fd: OwnedFd, peer: Option<SocketAddr>) -> PyResult<()> {
        let (py, listener) = (this.py(), this.get());
        let (context, is_own) = match &listener.connections {
            Some(connections) => (copy_context(connections.bind(py))?, true),
            None => (current_context(py)?, false),
        };
        let mut protocol = None;
        in_context(&context, || {
            protocol = Some(listener.factory.bind(py).call0()?);
            Ok(())
        })?;
        let Some(protocol) = protocol else { return Ok(()) };
        let server = listener.server.as_ref().map(|server| server.bind(py));
        Stream::of_accepted(
            listener.event_loop.bind(py),
            fd,
            peer,
            &protocol,
            server,
            context,
            is_own,
        )
        .map(drop)
    }

    fn failed(this: &Bound<'_, Listener>, error: io::Error) -> PyResult<()> {
        use io::ErrorKind::{ConnectionAborted, WouldBlock};
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
            None::<bool>,
            &listener.server,
            listener.backlog,
        );
        let (event_loop, socket, connections) =
            (&listener.event_loop, &listener.socket, &listener.connections);
        python_half::transports(py)?
            .call_method1("accept_later", (event_loop, error, socket, again, connections))
            .map(drop)
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
        visit.call(&self.connections)
    }
}

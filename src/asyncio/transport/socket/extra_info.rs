//! The information that a transport gives about its socket, also after the socket is closed.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::asyncio::address;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::io::socket;

/// The names whose values are filled in when the program asks for them.
const OF_THE_SOCKET: [&str; 3] = ["socket", "sockname", "peername"];

/// The value under a name, or `None`.
type Found<'py> = Option<Bound<'py, PyAny>>;

/// The answers of `get_extra_info` about a socket.
pub struct Socket {
    /// The peer's address, if it is known already, and the own address, once the socket is closed.
    ends: RefCell<(Option<SocketAddr>, Option<SocketAddr>)>,
    extra: RefCell<Option<Py<PyDict>>>,
    is_described: Cell<bool>,
}

impl Socket {
    /// The answers about a Python socket. `extra` is the dictionary that `get_extra_info` looks
    /// into.
    pub fn of_python(py: Python<'_>, file: &OpenFile, extra: Option<Bound<'_, PyDict>>) -> Socket {
        // The peer is looked up now, because after a reset the system no longer knows it.
        Socket::new(address::internet(file.lend(py, socket::peer).ok().flatten()), extra)
    }

    /// The answers about a connection whose peer is known.
    pub fn known(peer: Option<SocketAddr>) -> Socket {
        Socket::new(peer, None)
    }

    fn new(peer: Option<SocketAddr>, extra: Option<Bound<'_, PyDict>>) -> Socket {
        Socket {
            ends: RefCell::new((peer, None)),
            extra: RefCell::new(extra.map(Bound::unbind)),
            is_described: Cell::new(false),
        }
    }

    /// The value under a name that has nothing to do with the socket. For such a name the socket
    /// need not be described: streams ask each connection for `sslcontext`. Returns `None` for the
    /// names of the socket.
    pub fn given<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Option<Found<'py>>> {
        let is_other = |name: &Bound<'_, PyString>| OF_THE_SOCKET.iter().all(|own| name != own);
        if !name.cast_exact::<PyString>().is_ok_and(is_other) {
            return Ok(None);
        }
        let extra = self.extra.borrow().as_ref().map(|extra| extra.bind(name.py()).clone());
        extra.map_or(Ok(None), |extra| extra.get_item(name)).map(Some)
    }

    /// The dictionary that `get_extra_info` looks into.
    pub fn extra<'py>(&self, py: Python<'py>, file: &OpenFile) -> PyResult<Bound<'py, PyDict>> {
        let known = self.extra.borrow().as_ref().map(|extra| extra.bind(py).clone());
        let extra = known.unwrap_or_else(|| PyDict::new(py));
        if !self.is_described.replace(true) {
            self.extra.replace(Some(extra.clone().unbind()));
            let (peer, local) = *self.ends.borrow();
            let to_python =
                |end: Option<SocketAddr>| end.map(|end| address::to_python(py, &end)).transpose();
            python_half::transports(py)?.call_method1(
                "describe_socket",
                (&extra, file.socket(py)?, to_python(local)?, to_python(peer)?),
            )?;
        }
        Ok(extra)
    }

    /// Keeps the answers of `get_extra_info`, because the socket is about to be closed.
    pub fn remember(&self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        if self.is_described.get() || file.is_closed() {
            return Ok(());
        }
        let (peer, _) = *self.ends.borrow();
        if peer.is_none() {
            // Sockets that are not internet sockets are rare. They are described in full while they
            // are open.
            return self.extra(py, file).map(drop);
        }
        self.ends.replace((peer, address::internet(file.lend(py, socket::local).ok())));
        Ok(())
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        if let Ok(extra) = self.extra.try_borrow() {
            visitor.see(extra.as_ref().map(Py::as_any));
        }
    }
}

//! What a transport says about its socket, also after the socket is closed.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::asyncio::address;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::io::socket;

/// What is filled in when somebody asks for it.
const OF_THE_SOCKET: [&str; 3] = ["socket", "sockname", "peername"];

/// What is known under a name, or nothing.
type Found<'py> = Option<Bound<'py, PyAny>>;

/// The answers of `get_extra_info` about a socket.
pub struct Socket {
    /// The address of the other end, if it is known already, and the own address, once the socket
    /// is closed.
    ends: RefCell<(Option<SocketAddr>, Option<SocketAddr>)>,
    extra: RefCell<Option<Py<PyDict>>>,
    is_described: Cell<bool>,
}

impl Socket {
    /// Of Python's socket. `extra` is the dictionary that `get_extra_info` is to look into.
    pub fn of_python(py: Python<'_>, file: &OpenFile, extra: Option<Bound<'_, PyDict>>) -> Socket {
        // It is asked for now: after a reset the system no longer knows the peer.
        Socket::new(address::internet(file.lend(py, socket::peer).ok().flatten()), extra)
    }

    /// Of a connection that was accepted.
    pub fn accepted(peer: Option<SocketAddr>) -> Socket {
        Socket::new(peer, None)
    }

    fn new(peer: Option<SocketAddr>, extra: Option<Bound<'_, PyDict>>) -> Socket {
        Socket {
            ends: RefCell::new((peer, None)),
            extra: RefCell::new(extra.map(Bound::unbind)),
            is_described: Cell::new(false),
        }
    }

    /// What is known under a name, if that has nothing to do with the socket, which need not be
    /// described for it: streams ask each connection whether it is TLS's.
    pub fn given<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Option<Found<'py>>> {
        let is_other = |name: &Bound<'_, PyString>| OF_THE_SOCKET.iter().all(|own| name != own);
        if !name.cast_exact::<PyString>().is_ok_and(is_other) {
            return Ok(None);
        }
        let extra = self.extra.borrow().as_ref().map(|extra| extra.bind(name.py()).clone());
        extra.map_or(Ok(None), |extra| extra.get_item(name)).map(Some)
    }

    /// What `get_extra_info` looks into.
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

    /// The socket is about to be closed. Keeps what `get_extra_info` answers after that.
    pub fn remember(&self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        if self.is_described.get() || file.is_closed() {
            return Ok(());
        }
        let (peer, _) = *self.ends.borrow();
        if peer.is_none() {
            // Sockets of other families than the internet's are rare. They are described in full
            // while that is possible.
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

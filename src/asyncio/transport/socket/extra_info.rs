//! What a transport says of its socket, also when that is closed.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::address;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::python_half;
use crate::io::socket;

/// What `get_extra_info` says of a socket.
pub struct Socket {
    /// The other end, if it is known already; and this one, once the socket is closed.
    ends: RefCell<(Option<SocketAddr>, Option<SocketAddr>)>,
    extra: RefCell<Option<Py<PyDict>>>,
    is_described: Cell<bool>,
}

impl Socket {
    /// Of Python's socket. `extra` is the dictionary that `get_extra_info` is to look into.
    pub fn of_python(py: Python<'_>, file: &OpenFile, extra: Option<Bound<'_, PyDict>>) -> Socket {
        // Asked now: a connection that was reset knows no more who its peer was.
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

    /// The socket is about to be closed: `get_extra_info` goes on saying what it was.
    pub fn remember(&self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        if self.is_described.get() || file.is_closed() {
            return Ok(());
        }
        let (peer, _) = *self.ends.borrow();
        if peer.is_none() {
            // Rarer families than the internet's are described in full while they can be.
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

//! A transport's socket: Python's object, or just the fd as long as nobody asks for more.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{address, rare};
use crate::core::Fd;
use crate::io::socket;
use crate::py::extension::Visitor;

enum State {
    /// Python's socket, which closes its fd.
    Python(Py<PyAny>),
    /// An accepted connection that Python knows nothing of: most programs never ask for its socket.
    Bare(OwnedFd),
    Closed,
}

/// The socket and what `get_extra_info` says of it.
pub struct Socket {
    state: RefCell<State>,
    /// The other end, if it is known already; and this one, once the socket is closed.
    ends: RefCell<(Option<SocketAddr>, Option<SocketAddr>)>,
    extra: RefCell<Option<Py<PyDict>>>,
    is_described: Cell<bool>,
}

impl Socket {
    /// Python's socket, whose fd is `fd`. `extra` is the dictionary that `get_extra_info` is to look into.
    pub fn of_python(socket: &Bound<'_, PyAny>, fd: Fd, extra: Option<Bound<'_, PyDict>>) -> Socket {
        // Asked now: a connection that was reset knows no more who its peer was.
        let peer = address::internet(socket::peer(fd).ok().flatten());
        Socket::new(State::Python(socket.clone().unbind()), peer, extra)
    }

    /// A connection that was accepted.
    pub fn accepted(fd: OwnedFd, peer: Option<SocketAddr>) -> Socket {
        Socket::new(State::Bare(fd), peer, None)
    }

    fn new(state: State, peer: Option<SocketAddr>, extra: Option<Bound<'_, PyDict>>) -> Socket {
        Socket {
            state: RefCell::new(state),
            ends: RefCell::new((peer, None)),
            extra: RefCell::new(extra.map(Bound::unbind)),
            is_described: Cell::new(false),
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Closed)
    }

    /// Python's socket, made now if need be; `None` if it is closed.
    pub fn object<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let fd = match &*self.state.borrow() {
            State::Python(socket) => return Ok(Some(socket.bind(py).clone())),
            State::Bare(fd) => fd.as_raw_fd(),
            State::Closed => return Ok(None),
        };
        let socket = rare(py)?.call_method1("socket_of", (fd,))?;
        // Python's object closes the fd from now on.
        if let State::Bare(fd) = self.state.replace(State::Python(socket.clone().unbind())) {
            let _: Fd = fd.into_raw_fd();
        }
        Ok(Some(socket))
    }

    /// What `get_extra_info` looks into.
    pub fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let known = self.extra.borrow().as_ref().map(|extra| extra.bind(py).clone());
        let extra = known.unwrap_or_else(|| PyDict::new(py));
        if !self.is_described.replace(true) {
            self.extra.replace(Some(extra.clone().unbind()));
            let (peer, local) = *self.ends.borrow();
            let to_python = |end: Option<SocketAddr>| end.map(|end| address::to_python(py, &end)).transpose();
            rare(py)?
                .call_method1("describe_socket", (&extra, self.object(py)?, to_python(local)?, to_python(peer)?))?;
        }
        Ok(extra)
    }

    /// Closes it, whose fd is `fd`. `get_extra_info` goes on saying what it was.
    pub fn close(&self, py: Python<'_>, fd: Fd) -> PyResult<()> {
        if !self.is_described.get() && !self.is_closed() {
            self.remember_ends(py, fd)?;
        }
        match self.state.replace(State::Closed) {
            State::Python(socket) => socket.into_bound(py).call_method0(pyo3::intern!(py, "close")).map(drop),
            State::Bare(_) | State::Closed => Ok(()),
        }
    }

    fn remember_ends(&self, py: Python<'_>, fd: Fd) -> PyResult<()> {
        let (peer, _) = *self.ends.borrow();
        if peer.is_none() {
            // Rarer families than the internet's are described in full while they can be.
            return self.extra(py).map(drop);
        }
        self.ends.replace((peer, address::internet(socket::local(fd).ok())));
        Ok(())
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        if let Ok(state) = self.state.try_borrow()
            && let State::Python(socket) = &*state
        {
            visitor.see(Some(socket));
        }
        if let Ok(extra) = self.extra.try_borrow() {
            visitor.see(extra.as_ref().map(Py::as_any));
        }
    }
}

//! What an operation consists of.

use std::cell::{Cell, RefCell};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::asyncio::class::buffer::View;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::event_loop::Loop;
use crate::core::{Direction, Fd};

/// What is done to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SockMethod {
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Accept,
    Connect,
    /// To an address that is what the system call takes, of a socket that was checked.
    ConnectTo,
}

impl SockMethod {
    /// The loop's method that makes it, as Python's `__qualname__`.
    pub fn name(self) -> &'static str {
        match self {
            SockMethod::Recv => "EventLoop.sock_recv",
            SockMethod::RecvInto => "EventLoop.sock_recv_into",
            SockMethod::RecvFrom => "EventLoop.sock_recvfrom",
            SockMethod::RecvFromInto => "EventLoop.sock_recvfrom_into",
            SockMethod::SendAll => "EventLoop.sock_sendall",
            SockMethod::SendTo => "EventLoop.sock_sendto",
            SockMethod::Accept => "EventLoop.sock_accept",
            SockMethod::Connect | SockMethod::ConnectTo => "EventLoop.sock_connect",
        }
    }

    /// What the socket must be ready for.
    pub fn direction(self) -> Direction {
        match self {
            SockMethod::SendAll | SockMethod::SendTo => Direction::Write,
            _ if self.connects() => Direction::Write,
            _ => Direction::Read,
        }
    }

    /// Whether an event of the socket says what came of the attempt, rather than that it may be
    /// made again.
    pub fn connects(self) -> bool {
        matches!(self, SockMethod::Connect | SockMethod::ConnectTo)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not awaited yet.
    Created,
    /// An attempt is under way.
    Running,
    /// Awaits the future.
    Waiting,
    /// It has returned or raised.
    Done,
}

/// An operation on a socket. It holds no borrow while Python is called.
pub struct Operation {
    pub method: SockMethod,
    pub state: Cell<State>,
    /// The fd that the operation waits for, until the operation is told that it is ready.
    pub expected: Cell<Option<Fd>>,
    /// Whether the fd has become ready, and that has completed the future.
    pub is_ready: Cell<bool>,
    /// `sock_connect`: it is known already what came of it, and others go first.
    pub is_decided: Cell<bool>,
    /// `sock_sendall`: how many bytes are sent.
    pub sent: Cell<usize>,
    /// The objects that it works with, until it is done.
    pub parts: RefCell<Option<Parts>>,
}

pub struct Parts {
    pub event_loop: Py<Loop>,
    pub socket: Py<PyAny>,
    /// The arguments after the socket.
    pub first: Option<Py<PyAny>>,
    pub second: Option<Py<PyAny>>,
    /// `sock_sendall`: the memory of what is sent, while it waits.
    pub view: Option<View>,
    /// The future that it awaits.
    pub future: Option<Py<PyAny>>,
}

impl Parts {
    /// Drops the references, which may run any code.
    fn release(self, py: Python<'_>) {
        drop(self.view);
        for object in
            [Some(self.socket), self.first, self.second, self.future].into_iter().flatten()
        {
            drop(object.into_bound(py));
        }
        drop(self.event_loop.into_bound(py));
    }
}

impl Operation {
    pub fn new(
        method: SockMethod,
        event_loop: &Bound<'_, Loop>,
        socket: Bound<'_, PyAny>,
        first: Option<Bound<'_, PyAny>>,
        second: Option<Bound<'_, PyAny>>,
    ) -> Operation {
        let parts = Parts {
            event_loop: event_loop.clone().unbind(),
            socket: socket.unbind(),
            first: first.map(Bound::unbind),
            second: second.map(Bound::unbind),
            view: None,
            future: None,
        };
        Operation {
            method,
            state: Cell::new(State::Created),
            expected: Cell::new(None),
            is_ready: Cell::new(false),
            is_decided: Cell::new(false),
            sent: Cell::new(0),
            parts: RefCell::new(Some(parts)),
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.state.get() == State::Waiting
    }

    /// One of the objects that it works with.
    ///
    /// # Errors
    /// `RuntimeError` once it is done.
    pub fn part<'py, T>(
        &self,
        py: Python<'py>,
        part: impl FnOnce(&Parts) -> &Py<T>,
    ) -> PyResult<Bound<'py, T>> {
        match &*self.parts.borrow() {
            Some(parts) => Ok(part(parts).bind(py).clone()),
            None => Err(is_done()),
        }
    }

    /// Drops the objects that it works with.
    pub fn clear(&self, py: Python<'_>) {
        self.state.set(State::Done);
        let parts = self.parts.take();
        if let Some(parts) = parts {
            parts.release(py);
        }
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        // What is being changed just now cannot be seen. It is only not freed now.
        let Ok(parts) = self.parts.try_borrow() else { return };
        let Some(parts) = &*parts else { return };
        visitor.see(Some(parts.event_loop.as_any()));
        visitor.see(Some(&parts.socket));
        [&parts.first, &parts.second, &parts.future]
            .into_iter()
            .for_each(|object| visitor.see(object.as_ref()));
        if let Some(view) = &parts.view {
            visitor.see_raw(view.exporter());
        }
    }
}

/// The error of an operation that is asked for more when it is done.
pub fn is_done() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

//! The state and the parts of an operation.

use std::cell::{Cell, RefCell};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::asyncio::class::buffer::View;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::event_loop::Loop;
use crate::core::{Direction, Fd};

/// The method that is called on the socket.
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
    /// Connects a socket that was checked to an address that was looked up.
    ConnectTo,
    /// Waits until a connection that was begun has an outcome.
    Connected,
}

impl SockMethod {
    /// The `__qualname__` of the loop's method that makes the operation.
    pub fn name(self) -> &'static str {
        match self {
            SockMethod::Recv => "EventLoop.sock_recv",
            SockMethod::RecvInto => "EventLoop.sock_recv_into",
            SockMethod::RecvFrom => "EventLoop.sock_recvfrom",
            SockMethod::RecvFromInto => "EventLoop.sock_recvfrom_into",
            SockMethod::SendAll => "EventLoop.sock_sendall",
            SockMethod::SendTo => "EventLoop.sock_sendto",
            SockMethod::Accept => "EventLoop.sock_accept",
            SockMethod::Connect | SockMethod::ConnectTo | SockMethod::Connected => {
                "EventLoop.sock_connect"
            }
        }
    }

    /// The direction in which the socket must be ready.
    pub fn direction(self) -> Direction {
        match self {
            SockMethod::SendAll | SockMethod::SendTo => Direction::Write,
            _ if self.connects() => Direction::Write,
            _ => Direction::Read,
        }
    }

    /// Whether an event of the socket means that the attempt has an outcome. For the other methods
    /// it means that the attempt may be made again.
    pub fn connects(self) -> bool {
        matches!(self, SockMethod::Connect | SockMethod::ConnectTo | SockMethod::Connected)
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
    /// The operation has returned or raised.
    Done,
}

/// An operation on a socket. It holds no borrow while Python is called.
pub struct Operation {
    pub method: SockMethod,
    pub state: Cell<State>,
    /// The fd that the operation waits for. It is `None` again once the event has come.
    pub expected: Cell<Option<Fd>>,
    /// Whether the fd has become ready and the event has completed the future.
    pub is_ready: Cell<bool>,
    /// `sock_connect`: whether the outcome is known already, and other callbacks run first.
    pub is_decided: Cell<bool>,
    /// `sock_sendall`: how many bytes have been sent.
    pub sent: Cell<usize>,
    /// The objects that the operation works with, until it is done.
    pub parts: RefCell<Option<Parts>>,
}

pub struct Parts {
    pub event_loop: Py<Loop>,
    pub socket: Py<PyAny>,
    /// The arguments after the socket.
    pub first: Option<Py<PyAny>>,
    pub second: Option<Py<PyAny>>,
    /// `sock_sendall`: the memory of the data, while the operation waits.
    pub view: Option<View>,
    /// The future that the operation awaits.
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

    /// One of the objects that the operation works with.
    ///
    /// # Errors
    /// `RuntimeError` if the operation is done.
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

    /// Drops the objects that the operation works with.
    pub fn clear(&self, py: Python<'_>) {
        self.state.set(State::Done);
        let parts = self.parts.take();
        if let Some(parts) = parts {
            parts.release(py);
        }
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        // If the parts are being changed just now, they cannot be seen. Then they are not freed
        // this time.
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

/// The error of an operation that is used again when it is done.
pub fn is_done() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

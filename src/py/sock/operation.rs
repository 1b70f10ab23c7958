//! An operation: from its first attempt to its result.

use std::cell::{Cell, RefCell};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use super::attempt::{attempt, check};
use super::class::{This, known};
use crate::core::{Direction, Fd};
use crate::py::buffer::View;
use crate::py::event_loop::{Loop, os_error};
use crate::py::extension::Visitor;
use crate::py::item::{Event, Item, current_context};
use crate::py::owner::open_number_of;

/// What is done to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Accept,
}

impl Kind {
    /// The loop's method that makes it, as Python's `__qualname__`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Recv => "EventLoop.sock_recv",
            Kind::RecvInto => "EventLoop.sock_recv_into",
            Kind::RecvFrom => "EventLoop.sock_recvfrom",
            Kind::RecvFromInto => "EventLoop.sock_recvfrom_into",
            Kind::SendAll => "EventLoop.sock_sendall",
            Kind::SendTo => "EventLoop.sock_sendto",
            Kind::Accept => "EventLoop.sock_accept",
        }
    }

    fn direction(self) -> Direction {
        match self {
            Kind::SendAll | Kind::SendTo => Direction::Write,
            _ => Direction::Read,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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
    kind: Kind,
    state: Cell<State>,
    /// The fd whose readiness ends the waiting, if the operation has not heard of it yet.
    expected: Cell<Option<Fd>>,
    /// Whether the future was completed by that.
    is_ready: Cell<bool>,
    /// `sock_sendall`: how many bytes are sent.
    pub sent: Cell<usize>,
    /// What it works with, until it is done.
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
    /// What it awaits.
    future: Option<Py<PyAny>>,
}

impl Parts {
    /// Drops the references, which may run any code.
    fn release(self, py: Python<'_>) {
        drop(self.view);
        for object in [Some(self.socket), self.first, self.second, self.future].into_iter().flatten() {
            drop(object.into_bound(py));
        }
        drop(self.event_loop.into_bound(py));
    }
}

/// What a resumed operation does.
pub enum Step<'py> {
    /// It waits for this future.
    Waits(Bound<'py, PyAny>),
    Returns(Bound<'py, PyAny>),
}

static READY: Event = Event {
    method: "_ready",
    run: |this| ready(This::of(this)?),
    // Whoever waits for the future is called in a context of its own.
    context: |this| match This::of(this)?.part(this.py(), |parts| &parts.event_loop) {
        Ok(event_loop) => Ok(event_loop.get().driver()?.client().bare_context(this.py())),
        Err(_) => current_context(this.py()),
    },
};

impl Operation {
    pub fn new(
        kind: Kind,
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
            kind,
            state: Cell::new(State::Created),
            expected: Cell::new(None),
            is_ready: Cell::new(false),
            sent: Cell::new(0),
            parts: RefCell::new(Some(parts)),
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn is_waiting(&self) -> bool {
        self.state.get() == State::Waiting
    }

    /// One of the objects it works with.
    ///
    /// # Errors
    /// `RuntimeError` once it is done.
    pub fn part<'py, T>(&self, py: Python<'py>, part: impl FnOnce(&Parts) -> &Py<T>) -> PyResult<Bound<'py, T>> {
        match &*self.parts.borrow() {
            Some(parts) => Ok(part(parts).bind(py).clone()),
            None => Err(is_done()),
        }
    }

    /// Drops what it works with.
    pub fn clear(&self, py: Python<'_>) {
        self.state.set(State::Done);
        let parts = self.parts.take();
        if let Some(parts) = parts {
            parts.release(py);
        }
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        // What is just being changed cannot be seen now, and is merely not freed now.
        let Ok(parts) = self.parts.try_borrow() else { return };
        let Some(parts) = &*parts else { return };
        visitor.see(Some(parts.event_loop.as_any()));
        visitor.see(Some(&parts.socket));
        [&parts.first, &parts.second, &parts.future].into_iter().for_each(|object| visitor.see(object.as_ref()));
        if let Some(view) = &parts.view {
            visitor.see_raw(view.exporter());
        }
    }
}

fn is_done() -> PyErr {
    PyRuntimeError::new_err("cannot reuse already awaited coroutine")
}

/// Goes on, as a coroutine does.
///
/// # Errors
/// What the attempt raises, after which the operation is done.
pub fn send<'py>(this: &This<'py>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    match this.state.get() {
        State::Done => return Err(is_done()),
        State::Running => return Err(PyValueError::new_err("coroutine already executing")),
        State::Created if !value.is_none() => {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
        }
        State::Created | State::Waiting => {}
    }
    let is_first = this.state.replace(State::Running) == State::Created;
    let step = step(this, is_first);
    match step {
        Ok(Step::Waits(_)) => this.state.set(State::Waiting),
        Ok(Step::Returns(_)) | Err(_) => finish(this),
    }
    step
}

fn step<'py>(this: &This<'py>, is_first: bool) -> PyResult<Step<'py>> {
    if is_first {
        check(this)?;
    } else {
        waited(this)?;
    }
    match attempt(this, is_first)? {
        Some(result) => Ok(Step::Returns(result)),
        None => wait(this).map(Step::Waits),
    }
}

/// Waits until the socket's fd is ready.
fn wait<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let event_loop = this.part(py, |parts| &parts.event_loop)?;
    let future = known(py)?.new_future(&event_loop)?;
    let fd = open_number_of(&this.part(py, |parts| &parts.socket)?).map_err(os_error)?;
    event_loop.get().transports().check_number(py, fd)?;
    let item = Item::Event(this.as_any().clone().unbind(), &READY);
    let replaced = event_loop.get().open_driver()?.expect(fd, this.kind.direction(), item).map_err(os_error)?;
    this.expected.set(Some(fd));
    this.is_ready.set(false);
    if let Some(parts) = &mut *this.parts.borrow_mut() {
        parts.future = Some(future.clone().unbind());
    }
    replaced.map_or(Ok(()), |replaced| replaced.cancel(py))?;
    Ok(future)
}

/// Who awaits the operation goes on: the future is done.
fn waited(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    let future = this.parts.borrow_mut().as_mut().and_then(|parts| parts.future.take());
    let Some(future) = future.map(|future| future.into_bound(py)) else { return Err(is_done()) };
    if this.is_ready.get() {
        return Ok(());
    }
    // Somebody else has completed it, or nobody.
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Err(PyRuntimeError::new_err("await wasn't used with future"));
    }
    future.call_method0(intern!(py, "result"))?;
    expect_no_more(this);
    Ok(())
}

/// The fd is ready: whoever awaits the operation goes on in the next iteration.
pub fn ready(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    if !expect_no_more(this) {
        return Ok(()); // Cancelled since the event, or somebody else watches the fd now.
    }
    let future =
        this.parts.borrow().as_ref().and_then(|parts| parts.future.as_ref().map(|future| future.bind(py).clone()));
    let Some(future) = future else { return Ok(()) };
    match future.call_method1(intern!(py, "set_result"), (py.None(),)) {
        Ok(_) => {
            this.is_ready.set(true);
            Ok(())
        }
        // It was cancelled, and whoever awaits the operation is about to hear of it.
        Err(error) if error.get_type(py).is(&py.import("asyncio.exceptions")?.getattr("InvalidStateError")?) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends the watch; whether there was one.
fn expect_no_more(this: &This<'_>) -> bool {
    let py = this.py();
    let (Some(fd), Ok(event_loop)) = (this.expected.take(), this.part(py, |parts| &parts.event_loop)) else {
        return false;
    };
    let Ok(driver) = event_loop.get().open_driver() else { return false };
    let item = driver.expect_no_more(fd, this.kind.direction(), |item| item.is_of(this.as_any()));
    item.is_some_and(|item| item.cancel(py).is_ok())
}

/// It is over, whatever it was about to do.
fn finish(this: &This<'_>) {
    expect_no_more(this);
    this.clear(this.py());
}

/// Raises `error` where the operation waits, as a coroutine's `throw`: it is over.
///
/// # Errors
/// `error`, or Python's if the operation cannot be ended now.
pub fn throw(this: &This<'_>, error: PyErr) -> PyErr {
    match this.state.get() {
        State::Done => is_done(),
        State::Running => PyValueError::new_err("coroutine already executing"),
        State::Created | State::Waiting => {
            finish(this);
            error
        }
    }
}

/// Ends the operation, as a coroutine's `close`.
///
/// # Errors
/// `ValueError` in the midst of an attempt.
pub fn close(this: &This<'_>) -> PyResult<()> {
    match this.state.get() {
        State::Running => return Err(PyValueError::new_err("coroutine already executing")),
        State::Created | State::Waiting => finish(this),
        State::Done => {}
    }
    Ok(())
}

/// Python's `repr`.
pub fn describe(this: &This<'_>) -> String {
    let state = match (this.state.get(), this.expected.get()) {
        (State::Created, _) => "not awaited yet".to_owned(),
        (State::Running, _) => "running".to_owned(),
        (State::Waiting, Some(fd)) => format!("waiting for fd {fd}"),
        (State::Waiting, None) => "waiting".to_owned(),
        (State::Done, _) => "done".to_owned(),
    };
    format!("<{}() {state}>", this.kind.name())
}

//! An operation: from its first attempt to its result.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use super::attempt::{attempt, check};
use super::connect;
use super::object::{This, known};
use super::state::{State, is_done};
use crate::asyncio::context::current_context;
use crate::asyncio::errors::{is_fatal, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::{EventHandler, Item};
use crate::asyncio::open_file::open_number_of;
use crate::core::Fd;

/// What a resumed operation does next.
pub enum Step<'py> {
    /// It waits for this future.
    Waits(Bound<'py, PyAny>),
    Returns(Bound<'py, PyAny>),
}

static READY: EventHandler = EventHandler {
    method: "_ready",
    run: |this| ready(This::of(this)?),
    // The coroutine that waits for the future runs in a context of its own.
    context: |this| current_context(this.py()),
};

/// Goes on, as a coroutine does.
///
/// # Errors
/// What the attempt raises, after which the operation is done.
pub fn send<'py>(this: &This<'py>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    match this.state.get() {
        State::Done => return Err(is_done()),
        State::Running => return Err(PyValueError::new_err("coroutine already executing")),
        State::Created if !value.is_none() => {
            return Err(PyTypeError::new_err(
                "can't send non-None value to a just-started coroutine",
            ));
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
        // A bare yield: the task goes on in the next iteration.
        None if this.is_decided.get() => Ok(Step::Waits(this.py().None().into_bound(this.py()))),
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
    let replaced = expect(this, &event_loop, fd)?;
    this.is_ready.set(false);
    if let Some(parts) = &mut *this.parts.borrow_mut() {
        parts.future = Some(future.clone().unbind());
    }
    replaced.map_or(Ok(()), |replaced| replaced.cancel(py))?;
    Ok(future)
}

/// Begins to watch the fd. Whoever watched it before is to be cancelled.
fn expect(this: &This<'_>, event_loop: &Bound<'_, Loop>, fd: Fd) -> PyResult<Option<Item>> {
    let item = Item::Event(this.as_any().clone().unbind(), &READY);
    let replaced = event_loop
        .get()
        .open_driver()?
        .expect(fd, this.method.direction(), item)
        .map_err(os_error)?;
    this.expected.set(Some(fd));
    Ok(replaced)
}

/// The future is done, and the coroutine that awaits the operation goes on.
fn waited(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    if this.is_decided.get() {
        return Ok(());
    }
    let future = this.parts.borrow_mut().as_mut().and_then(|parts| parts.future.take());
    let Some(future) = future.map(|future| future.into_bound(py)) else { return Err(is_done()) };
    if this.is_ready.get() {
        return Ok(());
    }
    // Somebody else has completed the future, or nobody has.
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Err(PyRuntimeError::new_err("await wasn't used with future"));
    }
    future.call_method0(intern!(py, "result"))?;
    expect_no_more(this);
    Ok(())
}

/// The fd is ready. The coroutine that awaits the operation goes on in the next iteration.
pub fn ready(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    let fd = this.expected.get();
    if !expect_no_more(this) {
        return Ok(()); // Cancelled since the event, or somebody else watches the fd now.
    }
    let future = this
        .parts
        .borrow()
        .as_ref()
        .and_then(|parts| parts.future.as_ref().map(|future| future.bind(py).clone()));
    let Some(future) = future else { return Ok(()) };
    let told = match told(this, &future) {
        Ok(true) => future.call_method1(intern!(py, "set_result"), (py.None(),)),
        Ok(false) => return go_on_expecting(this, fd),
        Err(error) if is_fatal(py, &error) => return Err(error),
        Err(error) => {
            return future.call_method1(intern!(py, "set_exception"), (error,)).map(drop);
        }
    };
    match told {
        Ok(_) => {
            this.is_ready.set(true);
            Ok(())
        }
        // It was cancelled, and the coroutine that awaits the operation is about to be told.
        Err(error)
            if error
                .get_type(py)
                .is(&py.import("asyncio.exceptions")?.getattr("InvalidStateError")?) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether the event ends the waiting.
///
/// # Errors
/// What became of the connection instead.
fn told(this: &This<'_>, future: &Bound<'_, PyAny>) -> PyResult<bool> {
    // What a connection came to is asked for once.
    if !this.method.connects() || future.call_method0(intern!(this.py(), "done"))?.is_truthy()? {
        return Ok(true);
    }
    connect::outcome(this, &this.part(this.py(), |parts| &parts.socket)?)
        .map(|outcome| outcome.is_some())
}

/// It was a false alarm.
fn go_on_expecting(this: &This<'_>, fd: Option<Fd>) -> PyResult<()> {
    let py = this.py();
    let (Some(fd), Ok(event_loop)) = (fd, this.part(py, |parts| &parts.event_loop)) else {
        return Ok(());
    };
    expect(this, &event_loop, fd)?.map_or(Ok(()), |replaced| replaced.cancel(py))
}

/// Ends the watch. Returns whether there was one.
fn expect_no_more(this: &This<'_>) -> bool {
    let py = this.py();
    let (Some(fd), Ok(event_loop)) =
        (this.expected.take(), this.part(py, |parts| &parts.event_loop))
    else {
        return false;
    };
    let Ok(driver) = event_loop.get().open_driver() else { return false };
    let item = driver.expect_no_more(fd, this.method.direction(), |item| item.is_of(this.as_any()));
    item.is_some_and(|item| item.cancel(py).is_ok())
}

/// The operation is over, whatever it was about to do.
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
/// `ValueError` in the middle of an attempt.
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
    format!("<{}() {state}>", this.method.name())
}

//! The attempts of an operation: system calls in simple cases, otherwise the socket's own methods.

use std::io;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PySlice};

use super::connect;
use super::object::{This, argument, known};
use super::outcome::{Attempt, by_method};
use super::state::SockMethod;
use crate::asyncio::class::border::to_int;
use crate::asyncio::class::buffer::{View, to_bytes};
use crate::asyncio::errors::os_error;
use crate::asyncio::open_file;
use crate::asyncio::plain_socket::is_plain;
use crate::asyncio::read_buffer;
use crate::io::socket;

/// Checks the arguments before the first attempt.
pub fn check(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    if matches!(this.method, SockMethod::ConnectTo | SockMethod::Connected) {
        return Ok(());
    }
    let socket = this.part(py, |parts| &parts.socket)?;
    if !is_plain(&socket)? {
        known(py)?.check_ssl_socket.bind(py).call1((&socket,))?;
    }
    let is_debugging = this.part(py, |parts| &parts.event_loop)?.get().is_debugging();
    if is_debugging && socket.call_method0(intern!(py, "gettimeout"))?.ne(0)? {
        return Err(PyValueError::new_err("the socket must be non-blocking"));
    }
    Ok(())
}

/// Makes one attempt.
pub fn attempt<'py>(this: &This<'py>, is_first: bool) -> Attempt<'py> {
    let py = this.py();
    let socket = this.part(py, |parts| &parts.socket)?;
    // A subclass may have methods of its own.
    let is_plain = is_plain(&socket)?;
    match this.method {
        SockMethod::Recv if is_plain => receive(this, &socket),
        SockMethod::RecvInto if is_plain => receive_into(this, &socket),
        SockMethod::SendAll if is_plain => send_all(this, &socket, is_first),
        SockMethod::SendAll => send_all_by_method(this, &socket, is_first),
        SockMethod::Recv => by_method(&socket, intern!(py, "recv"), (argument(this)?,)),
        SockMethod::RecvInto => by_method(&socket, intern!(py, "recv_into"), (argument(this)?,)),
        SockMethod::RecvFrom => by_method(&socket, intern!(py, "recvfrom"), (argument(this)?,)),
        SockMethod::RecvFromInto => {
            let (buffer, size) = (argument(this)?, size(this)?);
            by_method(&socket, intern!(py, "recvfrom_into"), (buffer, size))
        }
        SockMethod::SendTo => {
            by_method(&socket, intern!(py, "sendto"), (argument(this)?, second(this)?))
        }
        SockMethod::Accept => {
            open_file::number_of(&socket)?;
            let accepted = by_method(&socket, intern!(py, "accept"), ())?;
            if let Some(accepted) = &accepted {
                accepted.get_item(0)?.call_method1(intern!(py, "setblocking"), (false,))?;
            }
            Ok(accepted)
        }
        SockMethod::Connect | SockMethod::ConnectTo if is_first => connect::begin(this, &socket),
        _ if this.method.connects() && this.is_decided.take() => connect::outcome(this, &socket),
        SockMethod::Connected if is_first => Ok(None),
        // The event has already checked the outcome.
        SockMethod::Connect | SockMethod::ConnectTo | SockMethod::Connected => {
            Ok(Some(py.None().into_bound(py)))
        }
    }
}

/// The second argument after the socket, or None.
fn second<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    let second = this
        .parts
        .borrow()
        .as_ref()
        .and_then(|parts| parts.second.as_ref().map(|it| it.bind(this.py()).clone()));
    Ok(second.unwrap_or_else(|| this.py().None().into_bound(this.py())))
}

fn keep_second(this: &This<'_>, object: &Bound<'_, PyAny>) {
    let before = this
        .parts
        .borrow_mut()
        .as_mut()
        .and_then(|parts| parts.second.replace(object.clone().unbind()));
    drop(before.map(|before| before.into_bound(this.py())));
}

/// How many bytes the buffer may receive: `nbytes`, or its whole length.
fn size<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
    let size = second(this)?;
    if size.is_truthy()? {
        return Ok(size);
    }
    let size = argument(this)?.len()?.into_pyobject(this.py())?.into_any();
    keep_second(this, &size);
    Ok(size)
}

/// Converts the outcome of a system call.
fn outcome<'py, T>(
    outcome: io::Result<T>,
    result: impl FnOnce(T) -> PyResult<Bound<'py, PyAny>>,
) -> Attempt<'py> {
    match outcome {
        Ok(value) => result(value).map(Some),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(os_error(error)),
    }
}

fn receive<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>) -> Attempt<'py> {
    let py = this.py();
    let argument = argument(this)?;
    let size = argument.cast_exact::<PyInt>().ok().and_then(|size| size.extract::<usize>().ok());
    let Some(size @ 1..=read_buffer::SIZE) = size else {
        // The method of the socket raises the right error, or has a buffer of this size.
        return by_method(socket, intern!(py, "recv"), (argument,));
    };
    let event_loop = this.part(py, |parts| &parts.event_loop)?;
    let received = event_loop.get().driver()?.client().read_buffer().lend(|scratch| {
        let count = open_file::lend(socket, |fd| socket::receive(fd, &mut scratch[..size]))?;
        io::Result::Ok(to_bytes(py, &scratch[..count]))
    })?;
    outcome(received, |data| data.map(Bound::into_any))
}

fn receive_into<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>) -> Attempt<'py> {
    let py = this.py();
    let argument = argument(this)?;
    match View::writable(&argument) {
        Ok(mut view) if !view.as_slice().is_empty() => {
            let received = open_file::lend(socket, |fd| socket::receive(fd, view.as_mut_slice()));
            outcome(received, |count| to_int(py, count))
        }
        // The method of the socket raises the right error.
        _ => by_method(socket, intern!(py, "recv_into"), (argument,)),
    }
}

fn send_all<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>, is_first: bool) -> Attempt<'py> {
    let data = argument(this)?;
    if let Ok(data) = data.cast_exact::<PyBytes>() {
        return transmit(this, socket, data.as_bytes());
    }
    let kept = this.parts.borrow_mut().as_mut().and_then(|parts| parts.view.take());
    let view = match kept.map_or_else(|| View::readable(&data), Ok) {
        Ok(view) => view,
        // The method of the socket raises the right error.
        Err(_) if is_first => return send_all_by_method(this, socket, is_first),
        Err(error) => return Err(error),
    };
    let sent = transmit(this, socket, view.as_slice())?;
    if sent.is_none()
        && let Some(parts) = &mut *this.parts.borrow_mut()
    {
        parts.view = Some(view);
    }
    Ok(sent)
}

/// Sends the rest of the data.
fn transmit<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>, data: &[u8]) -> Attempt<'py> {
    let start = this.sent.get();
    let count = match open_file::lend(socket, |fd| socket::transmit(fd, &data[start..])) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(os_error(error)),
    };
    this.sent.set(start + count);
    Ok((start + count == data.len()).then(|| this.py().None().into_bound(this.py())))
}

/// Sends by the `send` of the socket, for a subclass and for unusual data.
fn send_all_by_method<'py>(
    this: &This<'py>,
    socket: &Bound<'py, PyAny>,
    is_first: bool,
) -> Attempt<'py> {
    let py = this.py();
    let (start, data) = (this.sent.get(), if is_first { argument(this)? } else { second(this)? });
    let piece = if is_first {
        data.clone()
    } else {
        data.get_item(PySlice::new(py, start as isize, isize::MAX, 1))?
    };
    let sent = by_method(socket, intern!(py, "send"), (piece,))?;
    let sent = start + sent.map_or(Ok(0), |sent| sent.extract::<usize>())?;
    this.sent.set(sent);
    if sent == data.len()? {
        return Ok(Some(py.None().into_bound(py)));
    }
    if is_first {
        keep_second(this, &py.import("builtins")?.getattr("memoryview")?.call1((data,))?);
    }
    Ok(None)
}

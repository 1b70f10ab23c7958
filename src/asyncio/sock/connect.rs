//! `sock_connect`: which addresses need no look-up, how a connection begins, and its outcome.

use std::net::SocketAddr;

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use rustix::net::AddressFamily;

use super::object::{This, argument, known};
use super::outcome::{Attempt, by_method};
use super::state::SockMethod;
use crate::asyncio::errors::{os_error, would_block};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::open_file;
use crate::asyncio::plain_socket::{connects_at_once, kind_of};
use crate::asyncio::{address, audit};
use crate::core::Fd;
use crate::io::socket;

/// The address in the form that `connect` takes, if the class of the socket is exactly Python's and
/// the address needs no look-up. Otherwise `None`, and the loop's Python code handles both.
pub fn resolved<'py>(
    event_loop: &Bound<'py, Loop>,
    socket: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(kind) = kind_of(socket)? else { return Ok(None) };
    if !kind.is_internet() {
        return Ok(Some(address.clone()));
    }
    if !kind.takes_numbers() || !known(event_loop.py())?.resolves_as_stock(event_loop)? {
        return Ok(None);
    }
    Ok(normal(kind.family, address))
}

/// A numeric address in the form that asyncio gives it, because messages show it. `None` if
/// anything about the address is unusual.
fn normal<'py>(family: AddressFamily, address: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let items = address.cast_exact::<PyTuple>().ok()?;
    let (host, rest) = (items.get_item(0).ok()?, items.iter().skip(1));
    let is_plain = host.is_exact_instance_of::<PyString>()
        && rest.into_iter().all(|item| item.is_exact_instance_of::<PyInt>());
    let numeric = address::from_python(family, address).filter(|_| is_plain)?;
    let usual = if numeric.is_ipv6() { 4 } else { 2 };
    if items.len() == usual {
        return Some(address.clone());
    }
    address::with_host(host, &numeric).ok()
}

/// Begins the connection.
pub fn begin<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>) -> Attempt<'py> {
    let py = this.py();
    let address = argument(this)?;
    let done = Some(py.None().into_bound(py));
    let Some(numeric) = by_system_call(socket, &address)? else {
        // The socket's own method connects, as with asyncio. A blocking socket waits in it.
        let number = open_file::number_of(socket)?;
        if by_method(socket, intern!(py, "connect"), (&address,))?.is_some() {
            return Ok(done);
        }
        return check_number(this, number).map(|()| None);
    };
    audit::connect(socket, &address)?;
    if open_file::lend(socket, |fd| socket::connect(fd, &numeric)).map_err(os_error)? {
        return Ok(done);
    }
    check_number(this, open_file::number_of(socket)?)?;
    // Within one machine the outcome is usually known when the call returns.
    if open_file::lend(socket, |fd| Ok(socket::is_decided(fd))).map_err(os_error)? {
        if this.method == SockMethod::ConnectTo {
            return outcome(this, socket);
        }
        // asyncio's method always lets other callbacks run first.
        this.is_decided.set(true);
    }
    Ok(None)
}

/// Checks that no transport uses the fd.
fn check_number(this: &This<'_>, number: Fd) -> PyResult<()> {
    let event_loop = this.part(this.py(), |parts| &parts.event_loop)?;
    event_loop.get().transports().check_number(this.py(), number)
}

/// The address for the system call, if the socket does not block and the program has not replaced
/// its methods.
fn by_system_call(
    socket: &Bound<'_, PyAny>,
    address: &Bound<'_, PyAny>,
) -> PyResult<Option<SocketAddr>> {
    let Some(kind) = kind_of(socket)?.filter(|kind| kind.is_internet()) else { return Ok(None) };
    Ok(if connects_at_once(socket)? { address::from_python(kind.family, address) } else { None })
}

/// The outcome of the connection; `None` if it is not known yet.
pub fn outcome<'py>(this: &This<'py>, socket: &Bound<'py, PyAny>) -> Attempt<'py> {
    let py = this.py();
    let error = if kind_of(socket)?.is_some() {
        open_file::lend(socket, socket::pending_error).map_err(os_error)?
    } else {
        let module = py.import("socket")?;
        let option = (module.getattr("SOL_SOCKET")?, module.getattr("SO_ERROR")?);
        socket.call_method1(intern!(py, "getsockopt"), option)?.extract()?
    };
    if error == 0 {
        return Ok(Some(py.None().into_bound(py)));
    }
    let error = call_failed(error, &argument(this)?)?;
    if would_block(py, &error) { Ok(None) } else { Err(error) }
}

/// asyncio's exception for a connection that has failed after it was begun.
pub fn call_failed(number: i32, address: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    Ok(PyOSError::new_err((number, format!("Connect call failed {}", address.str()?))))
}

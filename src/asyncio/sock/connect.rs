//! `sock_connect`: which addresses need no look-up, how a connection begins, and what came of it.

use std::ffi::{c_char, c_int};
use std::net::SocketAddr;

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use rustix::net::AddressFamily;

use super::attempt::{Attempt, argument, by_method};
use super::object::{This, known};
use super::state::SockMethod;
use crate::asyncio::address;
use crate::asyncio::errors::{os_error, would_block};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::open_file;
use crate::asyncio::plain_socket::{connects_at_once, kind_of};
use crate::core::Fd;
use crate::io::socket;

unsafe extern "C" {
    /// Python's, which tells the audit hooks, if there are any, and builds the arguments only then.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// The address as `connect` takes it, if the socket is of Python's own class and nobody has to be
/// asked where the address is. Else the loop's Python looks at both.
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

/// A numeric address in the form that asyncio gives it, which shows in messages. `None` if there is
/// anything unusual about it.
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
        // Also what a socket that blocks does meanwhile is Python's.
        let number = open_file::number_of(socket)?;
        if by_method(socket, intern!(py, "connect"), (&address,))?.is_some() {
            return Ok(done);
        }
        return check_number(this, number).map(|()| None);
    };
    audit(socket, &address)?;
    if open_file::lend(socket, |fd| socket::connect(fd, &numeric)).map_err(os_error)? {
        return Ok(done);
    }
    check_number(this, open_file::number_of(socket)?)?;
    // On one machine the system has come to an end before the call has, mostly.
    if open_file::lend(socket, |fd| Ok(socket::is_decided(fd))).map_err(os_error)? {
        if this.method == SockMethod::ConnectTo {
            return outcome(this, socket);
        }
        // With asyncio's method others always run meanwhile.
        this.is_decided.set(true);
    }
    Ok(None)
}

/// No transport has the fd.
fn check_number(this: &This<'_>, number: Fd) -> PyResult<()> {
    let event_loop = this.part(this.py(), |parts| &parts.event_loop)?;
    event_loop.get().transports().check_number(this.py(), number)
}

/// The address, if the socket does not block and the program has put nothing in the place of its
/// methods.
fn by_system_call(
    socket: &Bound<'_, PyAny>,
    address: &Bound<'_, PyAny>,
) -> PyResult<Option<SocketAddr>> {
    let Some(kind) = kind_of(socket)?.filter(|kind| kind.is_internet()) else { return Ok(None) };
    Ok(if connects_at_once(socket)? { address::from_python(kind.family, address) } else { None })
}

/// Python's own method tells the audit hooks, too. They may refuse.
fn audit(socket: &Bound<'_, PyAny>, address: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the format is that of the two live objects which follow.
    let refused = unsafe {
        PySys_Audit(c"socket.connect".as_ptr(), c"OO".as_ptr(), socket.as_ptr(), address.as_ptr())
    };
    if refused < 0 { Err(PyErr::fetch(socket.py())) } else { Ok(()) }
}

/// What came of the connection; `None` if that is not known yet.
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
    let message = format!("Connect call failed {}", argument(this)?.str()?);
    let error = PyOSError::new_err((error, message));
    if would_block(py, &error) { Ok(None) } else { Err(error) }
}

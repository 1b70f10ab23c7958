//! Socket addresses as Python has them.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::asyncio::class::visitor::Visitor;
use crate::sys;

/// The address if it is one of the internet's: others are left to Python's socket module.
pub fn internet(address: Option<SocketAddrAny>) -> Option<SocketAddr> {
    SocketAddr::try_from(address?).ok()
}

/// `(host, port)`, or `(host, port, flowinfo, scope_id)`.
pub fn to_python<'py>(py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyAny>> {
    with_host(PyString::new(py, &address.ip().to_string()).into_any(), address)
}

/// As [`to_python`], with the text of the host.
pub fn with_host<'py>(
    host: Bound<'py, PyAny>,
    address: &SocketAddr,
) -> PyResult<Bound<'py, PyAny>> {
    let py = host.py();
    Ok(match address {
        SocketAddr::V4(address) => (host, address.port()).into_pyobject(py)?.into_any(),
        SocketAddr::V6(address) => (host, address.port(), address.flowinfo(), address.scope_id())
            .into_pyobject(py)?
            .into_any(),
    })
}

/// The path that a Unix socket is bound to; an abstract name as bytes that begin with a zero.
pub fn unix_to_python<'py>(
    py: Python<'py>,
    address: &SocketAddrUnix,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match sys::abstract_name(address) {
        Some(name) => PyBytes::new(py, &[&b"\0"[..], name].concat()).into_any(),
        None => OsStr::from_bytes(address.path_bytes().unwrap_or_default())
            .into_pyobject(py)?
            .into_any(),
    })
}

/// The address of `family` that Python's socket module would make of the object, if the host is
/// given as a number. Names to be looked up, and what is wrong, are left to that module.
pub fn from_python(family: AddressFamily, address: &Bound<'_, PyAny>) -> Option<SocketAddr> {
    let address = address.cast::<PyTuple>().ok()?;
    let number = |n| address.get_item(n).ok()?.cast_into::<PyInt>().ok()?.extract::<u32>().ok();
    let or_zero = |n| if n < address.len() { number(n) } else { Some(0) };
    let port = u16::try_from(number(1)?).ok()?;
    let host = address.get_item(0).ok()?;
    let host = host.cast::<PyString>().ok()?.to_str().ok()?;
    match (family, address.len()) {
        (AddressFamily::INET, 2) => {
            Some(SocketAddrV4::new(host.parse::<Ipv4Addr>().ok()?, port).into())
        }
        (AddressFamily::INET6, 2..=4) => {
            let flowinfo = or_zero(2).filter(|flowinfo| *flowinfo < 1 << 20)?;
            Some(
                SocketAddrV6::new(host.parse::<Ipv6Addr>().ok()?, port, flowinfo, or_zero(3)?)
                    .into(),
            )
        }
        _ => None,
    }
}

/// The address that was used last, in both forms: the same one is likely to come again.
///
/// **Gain**: without it the UDP echo of ten sockets in one process takes 44 % more instructions
/// (callgrind, CPython 3.13; docs/performance.md has the table). It is safe because an address of
/// Python's is a tuple of a text and numbers, which cannot change, and because it is found by its
/// identity while this keeps it alive.
#[derive(Default)]
pub struct Known(RefCell<Option<(SocketAddr, Py<PyAny>)>>);

impl Known {
    /// Python's object for the address, which is the one from now on. It is the same as before, or
    /// its host is, if the address's are.
    pub fn to_python<'py>(
        &self,
        py: Python<'py>,
        address: SocketAddr,
    ) -> PyResult<Bound<'py, PyAny>> {
        let known =
            self.0.borrow().as_ref().map(|(known, object)| (*known, object.bind(py).clone()));
        let object = match known {
            Some((known, object)) if known == address => return Ok(object),
            Some((known, object)) if known.ip() == address.ip() => {
                with_host(object.get_item(0)?, &address)?
            }
            _ => to_python(py, &address)?,
        };
        self.remember(address, &object);
        Ok(object)
    }

    /// The address, if this very object is the one.
    pub fn address(&self, object: &Bound<'_, PyAny>) -> Option<SocketAddr> {
        let known = self.0.borrow();
        known.as_ref().filter(|(_, known)| known.is(object)).map(|(address, _)| *address)
    }

    /// `object`, which never changes, stands for the address.
    pub fn remember(&self, address: SocketAddr, object: &Bound<'_, PyAny>) {
        let before = self.0.replace(Some((address, object.clone().unbind())));
        drop(before.map(|(_, before)| before.into_bound(object.py())));
    }

    /// Shows the reference to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        if let Ok(known) = self.0.try_borrow() {
            visitor.see(known.as_ref().map(|(_, object)| object));
        }
    }
}

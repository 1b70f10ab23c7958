//! Socket addresses as Python has them.

use std::net::SocketAddr;

use pyo3::prelude::*;
use rustix::net::SocketAddrAny;

/// The address if it is one of the internet's: others are left to Python's socket module.
pub fn internet(address: Option<SocketAddrAny>) -> Option<SocketAddr> {
    SocketAddr::try_from(address?).ok()
}

/// `(host, port)`, or `(host, port, flowinfo, scope_id)`.
pub fn to_python<'py>(py: Python<'py>, address: &SocketAddr) -> PyResult<Bound<'py, PyAny>> {
    let host = address.ip().to_string();
    Ok(match address {
        SocketAddr::V4(address) => (host, address.port()).into_pyobject(py)?.into_any(),
        SocketAddr::V6(address) => {
            (host, address.port(), address.flowinfo(), address.scope_id()).into_pyobject(py)?.into_any()
        }
    })
}

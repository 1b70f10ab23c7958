//! A connection that is being made to a numeric address, while it has no transport yet.
//!
//! It has a bare fd, as an accepted connection does. Python's socket object is made only if the
//! program asks its transport for it, or if the outcome has to be waited for.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString};

use super::stream::Stream;
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::sock::call_failed;
use crate::asyncio::{address, audit};
use crate::io::socket;

/// A socket that is to be connected.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Dialed {
    fd: Mutex<Option<OwnedFd>>,
    to: SocketAddr,
    /// As the program has written it: messages show it.
    host: Py<PyString>,
}

/// Opens a socket for the address. `None` if the host is not numeric, if anything about the address
/// is unusual, or if there are audit hooks, which are told of Python's own socket.
///
/// # Errors
/// `OSError` if no socket can be opened.
pub fn dial(host: &Bound<'_, PyAny>, port: &Bound<'_, PyAny>) -> PyResult<Option<Dialed>> {
    let py = host.py();
    let Some((host, to)) = numeric(host, port)? else { return Ok(None) };
    if audit::has_hooks(py) {
        return Ok(None);
    }
    let fd = socket::open(&to).map_err(os_error)?;
    Ok(Some(Dialed { fd: Mutex::new(Some(fd)), to, host: host.unbind() }))
}

/// The address of a numeric host, which asyncio does not look up.
fn numeric<'py>(
    host: &Bound<'py, PyAny>,
    port: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyString>, SocketAddr)>> {
    let (Ok(host), Ok(port)) = (host.cast_exact::<PyString>(), port.cast_exact::<PyInt>()) else {
        return Ok(None);
    };
    let (Ok(ip), Ok(port)) = (host.to_str().map(str::parse), port.extract::<u16>()) else {
        return Ok(None);
    };
    let Ok(ip) = ip else { return Ok(None) };
    let to = SocketAddr::new(ip, port);
    let is_known = to.is_ipv4() || has_ipv6(host.py())?;
    Ok(is_known.then(|| (host.clone(), to)))
}

/// Whether asyncio takes addresses of IPv6 for numeric.
fn has_ipv6(py: Python<'_>) -> PyResult<bool> {
    static HAS_IPV6: PyOnceLock<bool> = PyOnceLock::new();
    HAS_IPV6
        .get_or_try_init(py, || py.import("asyncio.base_events")?.getattr("_HAS_IPv6")?.is_truthy())
        .copied()
}

impl Dialed {
    fn take(&self) -> PyResult<OwnedFd> {
        let fd = self.fd.lock().unwrap_or_else(PoisonError::into_inner).take();
        fd.ok_or_else(|| PyRuntimeError::new_err("the socket is another's by now"))
    }

    /// The peer of the connection. A connection to no particular address has another one.
    fn peer(&self, fd: &OwnedFd) -> Option<SocketAddr> {
        if self.to.is_ipv4() && !self.to.ip().is_unspecified() {
            return Some(self.to);
        }
        address::internet(socket::peer(fd.as_fd()).ok().flatten())
    }
}

#[pymethods]
impl Dialed {
    /// Begins the connection. False if its outcome is not known yet. If it fails, the socket is
    /// closed.
    fn connect(&self, py: Python<'_>) -> PyResult<bool> {
        let fd = self.take()?;
        let mut is_connected = socket::connect(fd.as_fd(), &self.to).map_err(os_error)?;
        // Within one machine the outcome is usually known when the call returns.
        if !is_connected && socket::is_decided(fd.as_fd()) {
            let error = socket::pending_error(fd.as_fd()).map_err(os_error)?;
            if error != 0 {
                return Err(call_failed(error, &self.address(py)?)?);
            }
            is_connected = true;
        }
        self.fd.lock().unwrap_or_else(PoisonError::into_inner).replace(fd);
        Ok(is_connected)
    }

    /// The address as asyncio shows it.
    #[getter]
    fn address<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        address::with_host(self.host.bind(py).clone().into_any(), &self.to)
    }

    /// The socket as Python's object, which owns it from now on.
    fn socket<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        OpenFile::bare(self.take()?).socket(py)
    }

    /// The transport of the connection, which owns the socket from now on.
    fn transport<'py>(
        &self,
        event_loop: &Bound<'py, Loop>,
        protocol: &Bound<'py, PyAny>,
        waiter: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let fd = self.take()?;
        let peer = self.peer(&fd);
        Stream::of_dialed(event_loop, fd, peer, protocol, waiter)
    }
}

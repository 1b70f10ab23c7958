//! Sockets whose class is exactly Python's `socket.socket`. The program has not overridden their
//! methods, so Rust may do the same work by system calls.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyFloat;
use rustix::net::{AddressFamily, SocketType, ipproto};

/// The family, type and protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub family: AddressFamily,
    pub kind: SocketType,
    /// 0 means the usual protocol of the type.
    pub protocol: u32,
}

impl Kind {
    pub fn is_internet(self) -> bool {
        matches!(self.family, AddressFamily::INET | AddressFamily::INET6)
    }

    /// Whether the socket was made with TCP as its protocol. A socket that was made with protocol 0
    /// was not.
    pub fn is_tcp(self) -> bool {
        self.is_internet()
            && self.kind == SocketType::STREAM
            && self.protocol == ipproto::TCP.as_raw().get()
    }

    /// Whether asyncio keeps a numeric address for such a socket without a look-up.
    pub fn takes_numbers(self) -> bool {
        let is_usual =
            [0, ipproto::TCP.as_raw().get(), ipproto::UDP.as_raw().get()].contains(&self.protocol);
        is_usual && matches!(self.kind, SocketType::STREAM | SocketType::DGRAM)
    }
}

struct Known {
    class: Py<PyAny>,
    /// The C method `connect`, and the C descriptors for family, type and protocol.
    connect: Py<PyAny>,
    family: Py<PyAny>,
    kind: Py<PyAny>,
    protocol: Py<PyAny>,
}

fn known(py: Python<'_>) -> PyResult<&'static Known> {
    static KNOWN: PyOnceLock<Known> = PyOnceLock::new();
    KNOWN.get_or_try_init(py, || {
        let base = py.import("_socket")?.getattr("socket")?;
        let of_base = |name| base.getattr(name).map(Bound::unbind);
        Ok(Known {
            class: py.import("socket")?.getattr("socket")?.unbind(),
            connect: of_base("connect")?,
            family: of_base("family")?,
            kind: of_base("type")?,
            protocol: of_base("proto")?,
        })
    })
}

/// Looks Python's class up, which the program may replace in its module later.
pub fn look_up(py: Python<'_>) -> PyResult<()> {
    known(py).map(drop)
}

/// Whether the class of the socket is exactly Python's.
pub fn is_plain(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(socket.is_exact_instance(known(socket.py())?.class.bind(socket.py())))
}

/// The kind of the socket; `None` if its class is not exactly Python's.
pub fn kind_of(socket: &Bound<'_, PyAny>) -> PyResult<Option<Kind>> {
    if !is_plain(socket)? {
        return Ok(None);
    }
    let known = known(socket.py())?;
    // A family that is out of range cannot be one of the internet.
    let family = u16::try_from(get(&known.family, socket)?);
    Ok(Some(Kind {
        family: family.map_or(AddressFamily::UNSPEC, AddressFamily::from_raw),
        kind: SocketType::from_raw(get(&known.kind, socket)?),
        protocol: get(&known.protocol, socket)?,
    }))
}

/// Whether the `connect` of a socket of Python's class is only the system call. The socket must not
/// block, and the program must not have replaced the method of the class.
pub fn connects_at_once(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = socket.py();
    let known = known(py)?;
    if !known.class.bind(py).getattr(intern!(py, "connect"))?.is(known.connect.bind(py)) {
        return Ok(false);
    }
    let timeout = socket.call_method0(intern!(py, "gettimeout"))?;
    Ok(timeout.cast::<PyFloat>().is_ok_and(|timeout| timeout.value() == 0.0))
}

/// The number that a C descriptor returns for a socket.
fn get(descriptor: &Py<PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<u32> {
    let (py, descriptor) = (socket.py(), descriptor.as_ptr());
    // SAFETY: a live object; its class is a C class, which has the function or null.
    let Some(get) = (unsafe { (*ffi::Py_TYPE(descriptor)).tp_descr_get }) else {
        return Err(PyTypeError::new_err("not a descriptor of a socket's"));
    };
    // SAFETY: the descriptor's own function and live objects; a new reference, or null with an
    // exception set.
    let number: i64 = unsafe {
        let object = get(descriptor, socket.as_ptr(), ffi::Py_TYPE(socket.as_ptr()).cast());
        Bound::from_owned_ptr_or_err(py, object)?.extract()?
    };
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

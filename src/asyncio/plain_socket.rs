//! Sockets of exactly Python's own class: nothing of the program's stands between their methods and
//! the system, so that Rust may do as they do.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyFloat;
use rustix::net::{AddressFamily, SocketType, ipproto};

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub family: AddressFamily,
    pub kind: SocketType,
    /// 0 is that which is usual for the type.
    pub protocol: u32,
}

impl Kind {
    pub fn is_internet(self) -> bool {
        matches!(self.family, AddressFamily::INET | AddressFamily::INET6)
    }

    /// Whether it was made as TCP's. One that has no protocol in its name is not.
    pub fn is_tcp(self) -> bool {
        self.is_internet()
            && self.kind == SocketType::STREAM
            && self.protocol == ipproto::TCP.as_raw().get()
    }

    /// Whether asyncio leaves a numeric address of such a socket as it is.
    pub fn takes_numbers(self) -> bool {
        let is_usual =
            [0, ipproto::TCP.as_raw().get(), ipproto::UDP.as_raw().get()].contains(&self.protocol);
        is_usual && matches!(self.kind, SocketType::STREAM | SocketType::DGRAM)
    }
}

struct Known {
    class: Py<PyAny>,
    /// C's `connect`, and its descriptors of what a socket is.
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

/// What the socket is; `None` if it is not of exactly Python's class.
pub fn kind_of(socket: &Bound<'_, PyAny>) -> PyResult<Option<Kind>> {
    let known = known(socket.py())?;
    if !socket.is_exact_instance(known.class.bind(socket.py())) {
        return Ok(None);
    }
    // What is no number of a family is not the internet's.
    let family = u16::try_from(get(&known.family, socket)?);
    Ok(Some(Kind {
        family: family.map_or(AddressFamily::UNSPEC, AddressFamily::from_raw),
        kind: SocketType::from_raw(get(&known.kind, socket)?),
        protocol: get(&known.protocol, socket)?,
    }))
}

/// Whether a socket of Python's class is connected by the system call and no more: it does not
/// wait, and nobody has put something in the place of the class's method.
pub fn connects_at_once(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = socket.py();
    let known = known(py)?;
    if !known.class.bind(py).getattr(intern!(py, "connect"))?.is(known.connect.bind(py)) {
        return Ok(false);
    }
    let timeout = socket.call_method0(intern!(py, "gettimeout"))?;
    Ok(timeout.cast::<PyFloat>().is_ok_and(|timeout| timeout.value() == 0.0))
}

/// What a descriptor of C's says of a socket: a number.
fn get(descriptor: &Py<PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<u32> {
    let (py, descriptor) = (socket.py(), descriptor.as_ptr());
    // SAFETY: a live object, of a class of C's that has the function or null.
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

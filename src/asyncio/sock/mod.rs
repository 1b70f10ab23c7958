//! `loop.sock_recv` and the other `sock_*` methods. Each returns an object that is awaited like a
//! coroutine and has no Python frame.
//!
//! An operation tries its system call when it is awaited. If that succeeds at once, the result is
//! returned without a future or a handle. If not, the operation waits for a future until the fd is
//! ready. It tries again when the coroutine that awaits it is resumed. Nothing is taken from the
//! socket before that, so a cancelled operation loses nothing.

mod attempt;
mod class;
mod connect;
mod object;
mod operation;
mod outcome;
mod state;

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

pub use self::connect::call_failed;
use self::object::This;
use self::state::{Operation, SockMethod};
use super::calls::this;
use super::class::arguments::Arguments;
use super::class::border::guard;
use super::class::methods::{Definitions, add_methods, fast};
use super::event_loop::Loop;

/// Adds the class to the module, and the methods to the loop.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    class::register(module)?;
    add_methods(&module.py().get_type::<Loop>(), &METHODS)
}

/// The class that Python's messages name.
const LOOP: &str = "BaseSelectorEventLoop";

/// The pointers of a call by Python's fast convention: the object, the arguments, their count, and
/// the keywords.
type RawCall = (*mut ffi::PyObject, *const *mut ffi::PyObject, ffi::Py_ssize_t, *mut ffi::PyObject);

/// Makes an operation. `names` are the names of the arguments, and the first of them is the socket.
/// The first `required` arguments must be given.
///
/// # Safety
/// `raw` is a call under way of a method of `Loop`.
unsafe fn make<const N: usize>(
    raw: RawCall,
    name: &'static CStr,
    method: SockMethod,
    names: [&str; N],
    required: usize,
) -> *mut ffi::PyObject {
    guard(|py| {
        let (event_loop, args, count, keywords) = raw;
        // SAFETY: the caller's promise.
        let (event_loop, raw) =
            unsafe { (this(py, event_loop), Arguments::new(LOOP, name, args, count, keywords)) };
        let mut values = raw.all(py, names, required)?.into_iter();
        let socket = values.next().flatten().unwrap_or_else(|| py.None().into_bound(py));
        let (first, second) = (values.next().flatten(), values.next().flatten());
        This::new(Operation::new(method, &event_loop, socket, first, second), py)
            .map(This::into_ptr)
    })
}

/// The table entry of a loop's method that makes an operation.
macro_rules! operation {
    ($name:literal, $kind:expr, [$($argument:literal),*], $required:literal, $doc:literal) => {{
        unsafe extern "C" fn call(
            event_loop: *mut ffi::PyObject,
            args: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: Python's own arguments of the call under way.
            unsafe {
                let raw = (event_loop, args, count, keywords);
                make(raw, $name, $kind, [$($argument),*], $required)
            }
        }
        fast($name, call, $doc)
    }};
}

/// Does the same as [`make`], for `sock_connect`.
unsafe extern "C" fn sock_connect(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) = unsafe {
            (this(py, event_loop), Arguments::new(LOOP, c"sock_connect", args, count, keywords))
        };
        let [socket, address] = raw.required_all(py, ["sock", "address"])?;
        match connect::resolved(&event_loop, &socket, &address)? {
            Some(address) => {
                let connect = SockMethod::Connect;
                let operation = Operation::new(connect, &event_loop, socket, Some(address), None);
                This::new(operation, py).map(This::into_ptr)
            }
            None => event_loop
                .call_method1(intern!(py, "_look_up_and_connect"), (socket, address))
                .map(Bound::into_ptr),
        }
    })
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    operation!(
        c"sock_recv",
        SockMethod::Recv,
        ["sock", "n"],
        2,
        c"sock_recv($self, sock, n)\n--\n\n\
        Receive up to n bytes from a non-blocking socket, as soon as there are some; b'' is the \
        end of the stream.\n\n\
        Returns an awaitable, as all sock_* methods do. Nothing happens before it is awaited. If \
        it is cancelled, it has read nothing.\n\
        Raises OSError as socket.recv() does, RuntimeError if a transport uses the socket, \
        TypeError for an SSL socket."
    ),
    operation!(
        c"sock_recv_into",
        SockMethod::RecvInto,
        ["sock", "buf"],
        2,
        c"sock_recv_into($self, sock, buf)\n--\n\n\
        Receive into a writable buffer. Returns the number of bytes; 0 is the end of the stream."
    ),
    operation!(
        c"sock_recvfrom",
        SockMethod::RecvFrom,
        ["sock", "bufsize"],
        2,
        c"sock_recvfrom($self, sock, bufsize)\n--\n\n\
        Receive a datagram of up to bufsize bytes. Returns (bytes, address)."
    ),
    operation!(
        c"sock_recvfrom_into",
        SockMethod::RecvFromInto,
        ["sock", "buf", "nbytes"],
        2,
        c"sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\n\
        Receive a datagram into a writable buffer, up to nbytes bytes; 0 means the whole \
        buffer.\n\
        Returns (number of bytes, address)."
    ),
    operation!(
        c"sock_sendall",
        SockMethod::SendAll,
        ["sock", "data"],
        2,
        c"sock_sendall($self, sock, data)\n--\n\n\
        Send all of data, which must not change meanwhile. After an exception it is unknown how \
        much was sent."
    ),
    operation!(
        c"sock_sendto",
        SockMethod::SendTo,
        ["sock", "data", "address"],
        3,
        c"sock_sendto($self, sock, data, address)\n--\n\n\
        Send a datagram to address. Returns the number of bytes sent."
    ),
    operation!(
        c"sock_accept",
        SockMethod::Accept,
        ["sock"],
        1,
        c"sock_accept($self, sock)\n--\n\n\
        Accept a connection of a listening non-blocking socket. Returns (connection, address); the \
        connection is a\n\
        non-blocking socket. If it is cancelled, it has accepted nothing."
    ),
    fast(
        c"sock_connect",
        sock_connect,
        c"sock_connect($self, sock, address)\n--\n\n\
        Connect a non-blocking socket to address. If the host is a name, it is looked up first.\n\n\
        Raises OSError as socket.connect() does.",
    ),
    operation!(
        c"_connect_to",
        SockMethod::ConnectTo,
        ["sock", "address"],
        2,
        c"_connect_to($self, sock, address)\n--\n\n\
        Connect as sock_connect does, without checking the socket or looking up the address."
    ),
    operation!(
        c"_connected",
        SockMethod::Connected,
        ["sock", "address"],
        2,
        c"_connected($self, sock, address)\n--\n\n\
        Wait until a connection that was begun is there. Raises OSError if it fails."
    ),
]);

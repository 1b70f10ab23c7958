//! The methods of the loop that make transports and listeners. `event_loop.rs` does not know about
//! them.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::pipe::read::ReadPipe;
use super::pipe::write::WritePipe;
use super::socket::datagram::Datagram;
use super::socket::dialed;
use super::socket::listener::{Listener, Options};
use super::socket::stream::{self, Stream};
use crate::asyncio::calls::this;
use crate::asyncio::class::arguments::{Arguments, given};
use crate::asyncio::class::border::guard;
use crate::asyncio::class::methods::{Definitions, add_methods, fast};
use crate::asyncio::event_loop::Loop;

/// Adds the methods to the loop's class.
pub fn register(class: &Bound<'_, PyType>) -> PyResult<()> {
    add_methods(class, &METHODS)
}

/// The classes that Python's messages name.
const SELECTOR_LOOP: &str = "BaseSelectorEventLoop";
const UNIX_LOOP: &str = "_UnixSelectorEventLoop";

/// The entry of a method of the loop: the C function around a Rust one that takes the loop and the
/// arguments.
macro_rules! loop_method {
    ($class:expr, $name:literal, $function:path, $doc:literal) => {{
        unsafe extern "C" fn call(
            event_loop: *mut ffi::PyObject,
            args: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            guard(|py| {
                // SAFETY: Python's own `self` of the call under way.
                let event_loop = unsafe { this(py, event_loop) };
                // SAFETY: Python's own arguments of the call under way.
                let raw = unsafe { Arguments::new($class, $name, args, count, keywords) };
                $function(&event_loop, &raw).map(Bound::into_ptr)
            })
        }
        const NAME: &CStr = $name;
        fast(NAME, call, $doc)
    }};
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    loop_method!(
        SELECTOR_LOOP,
        c"_make_socket_transport",
        make_stream,
        c"_make_socket_transport($self, sock, protocol, waiter=None, *, extra=None, server=None, \
            context=None, **options)\n--\n\n\
        The transport of a connected socket, which then belongs to it. waiter is done when the \
        protocol knows.\n\n\
        All that happens to it happens in context, if there is one."
    ),
    loop_method!(
        SELECTOR_LOOP,
        c"_make_datagram_transport",
        make_datagram,
        c"_make_datagram_transport($self, sock, protocol, address=None, waiter=None, extra=None, \
            **options)\n--\n\n\
        The transport of a datagram socket, which then belongs to it. waiter is done when the \
        protocol knows.\n\n\
        address is the only one that may be sent to, if it is given."
    ),
    loop_method!(
        UNIX_LOOP,
        c"_make_read_pipe_transport",
        make_read_pipe,
        c"_make_read_pipe_transport($self, pipe, protocol, waiter=None, extra=None, \
            **options)\n--\n\n\
        The transport of a pipe's reading end, a file object which then belongs to it. waiter is \
        done when the protocol knows."
    ),
    loop_method!(
        UNIX_LOOP,
        c"_make_write_pipe_transport",
        make_write_pipe,
        c"_make_write_pipe_transport($self, pipe, protocol, waiter=None, extra=None, \
            **options)\n--\n\n\
        As _make_read_pipe_transport, of a pipe's writing end."
    ),
    loop_method!(
        SELECTOR_LOOP,
        c"_listen",
        listen,
        c"_listen($self, protocol_factory, sock, server, backlog, context=None, tls=None, \
            **options)\n--\n\n\
        Accept connections until the socket's reader is removed.\n\n\
        Each has a copy of context for all that happens to it, if there is one. tls, if it is \
        given, makes of the program's protocol the one below it."
    ),
    loop_method!(
        SELECTOR_LOOP,
        c"_dial",
        dial,
        c"_dial($self, host, port)\n--\n\n\
            A socket that is to be connected to a numeric address; None if it is not numeric."
    ),
    loop_method!(
        SELECTOR_LOOP,
        c"_lend_fd",
        lend_fd,
        c"_lend_fd($self, transport, lent)\n--\n\n\
            Whether others than the transport, a stream's, may use its fd."
    ),
]);

type Called<'py> = PyResult<Bound<'py, PyAny>>;

/// The dictionary that `get_extra_info` looks into.
fn dictionary<'py>(extra: Option<Bound<'py, PyAny>>) -> PyResult<Option<Bound<'py, PyDict>>> {
    Ok(given(extra).map(Bound::cast_into).transpose()?)
}

fn make_stream<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let py = event_loop.py();
    let names = ["sock", "protocol", "waiter", "extra", "server", "context"];
    let ([sock, protocol], [waiter, extra, server, context]) = arguments.open(py, names, 3)?;
    event_loop.get().transports().check_free(&sock)?;
    let (server, extra) = (given(server), dictionary(extra)?);
    Stream::of_socket(
        event_loop,
        &sock,
        &protocol,
        given(waiter),
        extra,
        server.as_ref(),
        given(context),
    )
}

fn make_datagram<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let py = event_loop.py();
    let names = ["sock", "protocol", "address", "waiter", "extra"];
    let ([sock, protocol], [address, waiter, extra]) = arguments.open(py, names, 5)?;
    event_loop.get().transports().check_free(&sock)?;
    Datagram::of_socket(
        event_loop,
        &sock,
        &protocol,
        given(address),
        given(waiter),
        dictionary(extra)?,
    )
}

const PIPE: [&str; 4] = ["pipe", "protocol", "waiter", "extra"];

fn make_read_pipe<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let ([pipe, protocol], [waiter, extra]) = arguments.open(event_loop.py(), PIPE, 4)?;
    ReadPipe::of_file(event_loop, &pipe, &protocol, given(waiter), dictionary(extra)?)
}

fn make_write_pipe<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let ([pipe, protocol], [waiter, extra]) = arguments.open(event_loop.py(), PIPE, 4)?;
    WritePipe::of_file(event_loop, &pipe, &protocol, given(waiter), dictionary(extra)?)
}

fn listen<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let py = event_loop.py();
    let names = ["protocol_factory", "sock", "server", "backlog", "context", "tls"];
    let ([factory, sock, server, backlog], [context, tls]) = arguments.open(py, names, 6)?;
    let options = Options {
        server: given(Some(server)),
        backlog: backlog.extract()?,
        connections: given(context),
        tls: given(tls),
    };
    Listener::listen(event_loop, factory, sock, options)?;
    Ok(py.None().into_bound(py))
}

fn dial<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let py = event_loop.py();
    let [host, port] = arguments.required_all(py, ["host", "port"])?;
    dialed::dial(&host, &port)?.into_pyobject(py)
}

fn lend_fd<'py>(event_loop: &Bound<'py, Loop>, arguments: &Arguments<'_>) -> Called<'py> {
    let py = event_loop.py();
    let [transport, is_lent] = arguments.required_all(py, ["transport", "lent"])?;
    stream::lend(&transport, event_loop, is_lent.extract()?)?;
    Ok(py.None().into_bound(py))
}

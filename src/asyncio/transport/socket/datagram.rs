//! `DatagramTransport`: a datagram socket, UDP or Unix, connected or not.
//!
//! The semantics are those of `asyncio.selector_events._SelectorDatagramTransport`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;

use pyo3::exceptions::{PyAttributeError, PyOSError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use super::common::{self, Socketed};
use super::extra_info::Socket;
use crate::asyncio::address::{self, Known};
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::border::{attached, is_since};
use crate::asyncio::class::buffer::{Data, to_bytes};
use crate::asyncio::class::extension::{Class, Extension, Instance};
use crate::asyncio::class::methods::Definitions;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::class::wrappers::{method, property};
use crate::asyncio::errors::{finally, os_error, would_block};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::EventHandler;
use crate::asyncio::open_file::OpenFile;
use crate::asyncio::plain_socket::is_plain;
use crate::asyncio::read_buffer;
use crate::asyncio::transport::channel::Channel;
use crate::asyncio::transport::ending;
use crate::asyncio::transport::flow::{self, Flowing};
use crate::asyncio::transport::reading::{self, Reading};
use crate::asyncio::transport::shared::{self, Transport};
use crate::core::Direction;
use crate::io::{Watermarks, socket};

/// The most datagrams that one event reads. Those that are left make the socket readable again.
const READ_AT_ONCE: usize = 16;

type This<'py> = Instance<'py, Datagram>;

/// What waits to be sent: the data, and Python's address if there is one.
type Waiting = (Py<PyBytes>, Option<Py<PyAny>>);

/// A datagram socket.
pub struct Datagram {
    channel: Channel,
    socket: Socket,
    /// The socket's family, if it is one whose system calls are made here. Otherwise Python's
    /// socket makes them.
    family: Option<AddressFamily>,
    /// Whether the socket has a peer: then what is sent bears no address.
    is_connected: bool,
    /// The only address that may be sent to.
    address: RefCell<Option<Py<PyAny>>>,
    outgoing: RefCell<VecDeque<Waiting>>,
    outgoing_size: Cell<usize>,
    marks: Cell<Watermarks>,
    is_paused: Cell<bool>,
    /// Who sent the last datagram, and to whom the last one went that was no answer to that.
    sender: Known,
    recipient: Known,
}

static READ: EventHandler = EventHandler {
    method: "_read_ready",
    run: |this| read_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Read),
};

static WRITE: EventHandler = EventHandler {
    method: "_sendto_ready",
    run: |this| sendto_ready(Instance::of(this)?),
    context: |this| This::of(this)?.channel.context(this.py(), Direction::Write),
};

impl Datagram {
    /// Makes the transport of a socket of Python's, which then belongs to it. The protocol is told
    /// in the loop's next iteration, reading starts, and `waiter`, a future, is done.
    pub fn of_socket<'py>(
        event_loop: &Bound<'py, Loop>,
        socket: &Bound<'py, PyAny>,
        protocol: &Bound<'py, PyAny>,
        address: Option<Bound<'py, PyAny>>,
        waiter: Option<Bound<'py, PyAny>>,
        extra: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let channel = Channel::new(event_loop, OpenFile::of_python(socket)?, protocol)?;
        let family = family_of(socket, &channel)?;
        let socket = Socket::of_python(py, channel.file(), extra);
        // What is unnamed is no peer for asyncio.
        let is_connected =
            is_given(socket.extra(py, channel.file())?.get_item("peername")?.as_ref())?;
        let address = if is_given(address.as_ref())? { address } else { None };
        let datagram = Datagram {
            channel,
            socket,
            family,
            is_connected,
            address: RefCell::new(address.map(Bound::unbind)),
            outgoing: RefCell::default(),
            outgoing_size: Cell::new(0),
            marks: Cell::default(),
            is_paused: Cell::new(false),
            sender: Known::default(),
            recipient: Known::default(),
        };
        let this = This::new(py, datagram)?;
        common::register(&this, event_loop)?;
        shared::begin_soon(&this, protocol, Some("_start_reading"), waiter)?;
        Ok(this.as_any().clone())
    }

    /// The address that the object stands for, if it need not be looked up.
    fn destination(&self, family: AddressFamily, object: &Bound<'_, PyAny>) -> Option<SocketAddr> {
        if let Some(address) =
            self.sender.address(object).or_else(|| self.recipient.address(object))
        {
            return Some(address);
        }
        let address = address::from_python(family, object)?;
        self.recipient.remember(address, object);
        Some(address)
    }

    /// How much a datagram adds to the size of what waits.
    fn cost(data: &Bound<'_, PyBytes>) -> usize {
        let header = if is_since_3_13() { 8 } else { 0 };
        data.as_bytes().len() + header
    }
}

fn is_given(object: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    object.map_or(Ok(false), |object| object.is_truthy())
}

/// The socket's family, unless its system calls are to be left to Python: those of rarer families,
/// and of subclasses that may have methods of their own.
fn family_of(socket: &Bound<'_, PyAny>, channel: &Channel) -> PyResult<Option<AddressFamily>> {
    if !is_plain(socket)? {
        return Ok(None);
    }
    let family = channel.lend(socket.py(), socket::family).ok();
    Ok(family.filter(|family| {
        [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX].contains(family)
    }))
}

/// From then on asyncio sends empty datagrams, and counts a header for each that waits.
fn is_since_3_13() -> bool {
    is_since(13)
}

fn error_received(this: &This<'_>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    let Some(protocol) = this.channel.protocol(py) else { return Ok(()) };
    protocol.call_method1(intern!(py, "error_received"), (error,)).map(drop)
}

// Reading.

/// Reads on for as long as the loop would do nothing else before it came back to this socket.
fn read_ready(this: &This<'_>) -> PyResult<()> {
    let driver = this.channel.driver();
    let end = driver.now().after(driver.slice());
    for _ in 0..READ_AT_ONCE {
        if !read_one(this)? || driver.pending().0 > 0 || driver.is_stopping() || driver.now() >= end
        {
            break;
        }
    }
    Ok(())
}

/// Whether there was a datagram.
fn read_one(this: &This<'_>) -> PyResult<bool> {
    let py = this.py();
    if !this.channel.is_watched(Direction::Read) || this.channel.is_lost() {
        return Ok(false);
    }
    let Some(protocol) = this.channel.protocol(py) else { return Ok(false) };
    match receive(this) {
        Ok(Some((data, sender))) => {
            protocol.call_method1(intern!(py, "datagram_received"), (data, sender)).map(|_| true)
        }
        Ok(None) => Ok(false),
        Err(error) if error.is_instance_of::<PyOSError>(py) => {
            if this.channel.file().open_number(py).is_err() {
                // The program has closed the socket: the number is another's.
                shared::unwatch(this, Direction::Read)?;
            }
            error_received(this, error).map(|()| false)
        }
        Err(error) => {
            ending::failed(this, error, "Fatal read error on datagram transport").map(|()| false)
        }
    }
}

type Received<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A datagram and its sender, if one has come.
fn receive<'py>(this: &This<'py>) -> PyResult<Option<Received<'py>>> {
    let py = this.py();
    if this.family.is_none() {
        return receive_by_python(this);
    }
    let received = this.channel.driver().client().read_buffer().lend(|scratch| {
        let (count, sender) = this.channel.lend(py, |fd| socket::receive_from(fd, scratch))?;
        io::Result::Ok((to_bytes(py, &scratch[..count]), sender))
    })?;
    match received {
        Ok((data, sender)) => Ok(Some((data?.into_any(), sender_to_python(this, sender)?))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(os_error(error)),
    }
}

fn receive_by_python<'py>(this: &This<'py>) -> PyResult<Option<Received<'py>>> {
    let py = this.py();
    let Some(socket) = this.channel.file().object(py) else { return Ok(None) };
    match socket.call_method1(intern!(py, "recvfrom"), (read_buffer::SIZE,)) {
        Ok(received) => received.extract().map(Some),
        Err(error) if would_block(py, &error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sender_to_python<'py>(
    this: &This<'py>,
    sender: Option<SocketAddrAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let Some(sender) = sender else { return Ok(py.None().into_bound(py)) };
    let Ok(address) = SocketAddr::try_from(sender.clone()) else {
        return address::unix_to_python(
            py,
            &SocketAddrUnix::try_from(sender).map_err(|error| os_error(error.into()))?,
        );
    };
    this.sender.to_python(py, address)
}

// Sending.

fn sendto(this: &This<'_>, arguments: &Arguments<'_>) -> PyResult<()> {
    let py = this.py();
    let [data, address] = arguments.all(py, ["data", "addr"], 1)?;
    let data = shared::or_none(py, data);
    Data::check(&data)?;
    if !is_since_3_13() && !data.is_truthy()? {
        return Ok(());
    }
    let only = this.address.borrow().as_ref().map(|only| only.bind(py).clone());
    let address = permitted(address, only.as_ref())?;
    if this.channel.is_lost() && only.is_some() {
        return common::written_in_vain(this);
    }
    if this.channel.file().is_closed() {
        // The stock transport stumbles over the members that it has set to None, and programs have
        // come to expect it.
        return Err(PyAttributeError::new_err("sendto() on a closed datagram transport"));
    }
    if this.outgoing.borrow().is_empty() {
        match transmit(this, &data, address.as_ref()) {
            Ok(()) => return Ok(()),
            Err(error) if would_block(py, &error) => await_room(this)?,
            Err(error) => return not_sent(this, error),
        }
    }
    // A copy, unless it cannot change.
    let data = py.get_type::<PyBytes>().call1((data,))?.cast_into::<PyBytes>()?;
    this.outgoing_size.update(|size| size + Datagram::cost(&data));
    this.outgoing.borrow_mut().push_back((data.unbind(), address.map(Bound::unbind)));
    flow::has_grown(this)
}

/// The address to send to: what was given, or else the `only` one that may be.
fn permitted<'py>(
    given: Option<Bound<'py, PyAny>>,
    only: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let given = given.filter(|given| !given.is_none());
    match (given, only) {
        (Some(given), Some(only)) if !given.is(only) && !given.eq(only)? => {
            Err(PyValueError::new_err(format!("Invalid address: must be None or {}", only.str()?)))
        }
        (given, None) => Ok(given),
        (_, Some(only)) => Ok(Some(only.clone())),
    }
}

/// Sends a datagram now, or fails.
fn transmit(
    this: &This<'_>,
    data: &Bound<'_, PyAny>,
    address: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    match (this.family, address) {
        (Some(_), _) if this.is_connected => {
            let data = Data::new(data)?;
            this.channel
                .lend(this.py(), |fd| socket::transmit(fd, data.as_slice()))
                .map(drop)
                .map_err(os_error)
        }
        (Some(family), Some(address)) => match this.destination(family, address) {
            Some(address) => {
                let data = Data::new(data)?;
                let sent = this
                    .channel
                    .lend(this.py(), |fd| socket::transmit_to(fd, data.as_slice(), &address));
                sent.map_err(os_error)
            }
            None => transmit_by_python(this, data, Some(address)),
        },
        _ => transmit_by_python(this, data, address),
    }
}

fn transmit_by_python(
    this: &This<'_>,
    data: &Bound<'_, PyAny>,
    address: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = this.py();
    let Some(socket) = this.channel.file().object(py) else { return Ok(()) };
    if this.is_connected {
        return socket.call_method1(intern!(py, "send"), (data,)).map(drop);
    }
    socket.call_method1(intern!(py, "sendto"), (data, address)).map(drop)
}

fn not_sent(this: &This<'_>, error: PyErr) -> PyResult<()> {
    if error.is_instance_of::<PyOSError>(this.py()) {
        return error_received(this, error);
    }
    ending::failed(this, error, "Fatal write error on datagram transport")
}

fn await_room(this: &This<'_>) -> PyResult<()> {
    this.channel.watch(this.as_any(), Direction::Write, &WRITE)
}

fn take_first<'py>(this: &This<'py>) -> Option<(Bound<'py, PyBytes>, Option<Bound<'py, PyAny>>)> {
    let py = this.py();
    let (data, address) = this.outgoing.borrow_mut().pop_front()?;
    let data = data.into_bound(py);
    this.outgoing_size.update(|size| size - Datagram::cost(&data));
    Some((data, address.map(|address| address.into_bound(py))))
}

fn put_back(this: &This<'_>, data: Bound<'_, PyBytes>, address: Option<Bound<'_, PyAny>>) {
    this.outgoing_size.update(|size| size + Datagram::cost(&data));
    this.outgoing.borrow_mut().push_front((data.unbind(), address.map(Bound::unbind)));
}

fn sendto_ready(this: &This<'_>) -> PyResult<()> {
    if !this.channel.is_watched(Direction::Write) || this.channel.is_lost() {
        return Ok(());
    }
    let py = this.py();
    while let Some((data, address)) = take_first(this) {
        match transmit(this, data.as_any(), address.as_ref()) {
            Ok(()) => {}
            Err(error) if would_block(py, &error) => {
                put_back(this, data, address);
                break;
            }
            // What waits behind it is sent by the next event.
            Err(error) => return not_sent(this, error),
        }
    }
    let told = flow::has_shrunk(this); // The protocol may send again, or close.
    if !this.is_flushed() || this.channel.is_lost() {
        return told;
    }
    let ended = all_is_sent(this);
    finally(py, told, ended)
}

fn all_is_sent(this: &This<'_>) -> PyResult<()> {
    shared::unwatch(this, Direction::Write)?;
    if this.channel.is_closing() {
        return ending::connection_lost(this, &this.py().None().into_bound(this.py()));
    }
    Ok(())
}

static METHODS: Definitions<ffi::PyMethodDef> = common::methods![
    Datagram,
    "DatagramTransport",
    shared::set_protocol::<Datagram>,
    method!(any "DatagramTransport", c"sendto", sendto, c"sendto($self, data, addr=None)\n--\n\n\
        Send bytes-like data as one datagram, now if there is room, else later.\n\nRaises \
        TypeError if it is not bytes-like, ValueError for another address than the peer's on an \
        endpoint with a remote address. Of errors of the network protocol.error_received() is \
        told."),
    method!(none c"_read_ready", read_ready, c"_read_ready($self, /)\n--\n\n"),
    method!(none c"_sendto_ready", sendto_ready, c"_sendto_ready($self, /)\n--\n\n"),
];

static PROPERTIES: Definitions<ffi::PyGetSetDef> = common::properties!(Datagram);

static DATAGRAM: PyOnceLock<Class> = PyOnceLock::new();

impl Extension for Datagram {
    const NAME: &'static CStr = c"qtloop._core.DatagramTransport";
    const BASES: &'static [(&'static str, &'static str)] =
        &[("asyncio.transports", "_FlowControlMixin"), ("asyncio.transports", "DatagramTransport")];

    fn class() -> &'static PyOnceLock<Class> {
        &DATAGRAM
    }

    fn methods() -> &'static Definitions<ffi::PyMethodDef> {
        &METHODS
    }

    fn properties() -> &'static Definitions<ffi::PyGetSetDef> {
        &PROPERTIES
    }

    fn repr<'py>(this: &This<'py>) -> PyResult<Bound<'py, PyAny>> {
        common::repr(this)
    }

    fn visit(&self, visitor: &mut Visitor) {
        self.channel.visit(visitor);
        self.socket.visit(visitor);
        self.sender.visit(visitor);
        self.recipient.visit(visitor);
        if let Ok(address) = self.address.try_borrow() {
            visitor.see(address.as_ref());
        }
        if let Ok(outgoing) = self.outgoing.try_borrow() {
            outgoing.iter().for_each(|(_, address)| visitor.see(address.as_ref()));
        }
    }

    fn clear(&self) {
        attached(|py| self.channel.release(py));
        let (address, outgoing) = (self.address.take(), self.outgoing.take());
        drop((address, outgoing));
    }

    fn finalize(this: &This<'_>) -> PyResult<()> {
        ending::finalize(this)
    }
}

impl Transport for Datagram {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn drop_outgoing(this: &This<'_>) {
        while let Some(dropped) = take_first(this) {
            drop(dropped);
        }
    }

    fn let_go(this: &This<'_>) -> PyResult<()> {
        common::let_go(this)
    }
}

impl Flowing for Datagram {
    fn marks(&self) -> &Cell<Watermarks> {
        &self.marks
    }

    fn waiting(&self) -> usize {
        self.outgoing_size.get()
    }
}

impl Socketed for Datagram {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn is_flushed(&self) -> bool {
        self.outgoing.borrow().is_empty()
    }
}

impl Reading for Datagram {
    fn is_paused(&self) -> &Cell<bool> {
        &self.is_paused
    }

    fn read_event() -> &'static EventHandler {
        &READ
    }
}

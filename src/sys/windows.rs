//! Windows: sockets, each of which is watched by the host.

use std::ffi::c_int;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketType, acceptfrom, getsockname, recv,
    send, sockopt,
};

use super::poll::borrow;
use crate::core::{Fd, Interest, Time};

/// There is no SIGPIPE.
pub const NO_SIGNAL: SendFlags = SendFlags::empty();

/// No call has a flag for it: the sockets do not block.
pub const READ_AT_ONCE: RecvFlags = RecvFlags::empty();

/// No call has a flag for it: the sockets do not block.
pub const WRITE_AT_ONCE: SendFlags = SendFlags::empty();

/// A socket that any thread can make readable: it is connected with itself.
#[derive(Debug)]
pub struct EventFd(UdpSocket);

impl EventFd {
    /// A new one.
    ///
    /// # Errors
    /// The system calls'.
    pub fn new() -> io::Result<EventFd> {
        // Nobody else can send to it, once it is connected.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(EventFd(socket))
    }

    /// Makes it readable.
    pub fn send(&self) {
        // Fails if there is no room, and then it is readable already.
        let _full = self.0.send(&[0]);
    }

    /// Makes it unreadable.
    pub fn drain(&self) {
        while self.0.recv(&mut [0]).is_ok() {}
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// There is no set of sockets that is behind one that the host could watch. So there is none of
/// these.
pub enum Poller {}

#[expect(missing_docs, reason = "nothing has these methods: see those of epoll's")]
impl Poller {
    /// What users call it: nothing.
    pub const NAME: &'static str = "";

    /// Refused.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn new() -> io::Result<Poller> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn is_inherited(&self) -> bool {
        match *self {}
    }

    pub fn fd(&self) -> Fd {
        match *self {}
    }

    pub fn add_wake_fd(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
        match *self {}
    }

    pub fn change(&mut self, _: Fd, _: Interest, _: Interest) -> io::Result<bool> {
        match *self {}
    }

    pub fn expect(&mut self, _: Fd, _: Interest) -> io::Result<()> {
        match *self {}
    }

    pub fn is_haunted(&mut self) -> bool {
        match *self {}
    }

    pub fn clear(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub fn look(&mut self, _: impl FnMut(Fd, Interest)) -> (usize, bool) {
        match *self {}
    }
}

/// The error of what has failed for no reason that the system knows of.
pub const UNKNOWN_ERROR: Errno = Errno::OPNOTSUPP;

/// Whether the number names an open socket.
///
/// # Errors
/// The system call's if not.
pub fn is_open(fd: Fd) -> io::Result<()> {
    sockopt::socket_type(borrow(fd)?)?;
    Ok(())
}

/// A socket that does not block and is not inherited.
///
/// # Errors
/// The system calls'.
pub fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, kind, None)?;
    set_flags(&socket)?;
    Ok(socket)
}

/// A connection that waits to be accepted, and its peer. It does not block and is not inherited.
///
/// # Errors
/// The system calls'; `WOULDBLOCK` if none waits.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, peer) = acceptfrom(fd)?;
    set_flags(&socket)?;
    Ok((socket, peer))
}

fn set_flags(socket: &OwnedFd) -> rustix::io::Result<()> {
    // SAFETY: the handle is open; the function changes a flag of it.
    unsafe { SetHandleInformation(socket.as_raw_fd() as usize, INHERIT, 0) };
    ioctl_fionbio(socket, true)
}

/// What kind of addresses the socket has.
///
/// # Errors
/// The system call's: the handle may be no socket, or one without an address.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    Ok(getsockname(fd)?.address_family())
}

/// What keeps a file open beside its own number: there is no such thing for what has a number in
/// Python.
#[derive(Debug)]
pub enum Kept {}

impl Kept {
    /// `None`, always.
    pub fn of(_: Fd) -> Option<Kept> {
        None
    }

    /// The number.
    pub fn number(&self) -> Fd {
        match *self {}
    }

    /// Whether the other number names the same file now.
    pub fn is(&self, _: Fd) -> bool {
        match *self {}
    }
}

/// Whether a connection that was begun goes on by itself.
pub fn is_under_way(error: Errno) -> bool {
    error == Errno::WOULDBLOCK
}

/// Writes to a socket from the first place that has something, as much as there is room for, and
/// says how much that was.
///
/// # Errors
/// The system call's; `WouldBlock` if there is no room.
pub fn transmit_many(
    fd: BorrowedFd<'_>,
    data: &[IoSlice<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let first = data.iter().find(|data| !data.is_empty()).map_or(&[][..], |data| data);
    Ok(send(fd, first, flags)?)
}

/// Reads from a socket what has come to the first place that has room.
///
/// # Errors
/// The system call's.
pub fn receive_many(fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let first = buffers.iter_mut().find(|buffer| !buffer.is_empty());
    Ok(recv(fd, first.map_or(&mut [][..], |buffer| buffer), RecvFlags::empty())?.0)
}

/// `HANDLE_FLAG_INHERIT`.
const INHERIT: u32 = 1;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn SetHandleInformation(handle: usize, mask: u32, flags: u32) -> c_int;
    fn QueryPerformanceCounter(count: *mut i64) -> c_int;
    fn QueryPerformanceFrequency(frequency: *mut i64) -> c_int;
}

/// The time since the clock's epoch: the performance counter, as Python's from 3.13 on.
pub fn now() -> Time {
    let (mut count, mut frequency) = (0, 0);
    // SAFETY: each writes to the number that it is given, and keeps no pointer to it.
    unsafe {
        QueryPerformanceCounter(&raw mut count);
        QueryPerformanceFrequency(&raw mut frequency);
    }
    let nanos = i128::from(count) * 1_000_000_000 / i128::from(frequency.max(1));
    Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

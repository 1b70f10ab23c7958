//! System calls on sockets that do not block; reading and writing does not even if the socket
//! would. An interrupted one is made again.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrAny, SocketType, getpeername, getsockname, recv, recvfrom,
    send, sendto, shutdown, sockopt,
};

use crate::sys::{self, NO_SIGNAL, READ_AT_ONCE, WRITE_AT_ONCE};

/// The most slices that one system call takes: `IOV_MAX` on Linux, macOS and the BSDs.
pub const MAX_SLICES: usize = 1024;

/// Reads what has come; 0 is the end of the stream.
///
/// # Errors
/// The system call's; `WouldBlock` if nothing has come.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| recv(fd, &mut *buffer, READ_AT_ONCE)).map(|(received, _)| received)?)
}

/// Reads one datagram. Says how long it is, as far as there is room, and who sent it, if the system
/// knows.
///
/// # Errors
/// The system call's; `WouldBlock` if none has come, also on a socket that blocks.
pub fn receive_from(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let received = retry_on_intr(|| recvfrom(fd, &mut *buffer, READ_AT_ONCE));
    Ok(received.map(|(received, _, sender)| (received, sender))?)
}

/// Writes as much as there is room for, and says how much that was.
///
/// # Errors
/// The system call's; `WouldBlock` if there is no room.
pub fn transmit(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| send(fd, data, NO_SIGNAL | WRITE_AT_ONCE))?)
}

/// Sends one datagram to an address.
///
/// # Errors
/// As [`transmit`].
pub fn transmit_to(fd: BorrowedFd<'_>, data: &[u8], address: &SocketAddr) -> io::Result<()> {
    retry_on_intr(|| sendto(fd, data, NO_SIGNAL, address))?;
    Ok(())
}

/// As [`transmit`], from several places: at most [`MAX_SLICES`].
///
/// # Errors
/// As [`transmit`].
pub fn transmit_many(fd: BorrowedFd<'_>, data: &[IoSlice<'_>]) -> io::Result<usize> {
    let data = &data[..data.len().min(MAX_SLICES)];
    sys::transmit_many(fd, data, NO_SIGNAL | WRITE_AT_ONCE)
}

/// Opens a stream socket that does not block and is not inherited.
///
/// # Errors
/// The system call's.
pub fn open(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    sys::socket(family, SocketType::STREAM)
}

/// Begins a connection of a socket that does not block. Whether there is one; else the socket becomes
/// writable when it is known what came of it.
///
/// # Errors
/// The system call's.
pub fn connect(fd: BorrowedFd<'_>, address: &SocketAddr) -> io::Result<bool> {
    match rustix::net::connect(fd, address) {
        Ok(()) => Ok(true),
        Err(error) if sys::is_under_way(error) => Ok(false),
        Err(Errno::ALREADY | Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether it is known already what came of a connection that was begun. On one machine it mostly
/// is.
pub fn is_decided(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// What came of a connection that was begun: the error's number, or 0. Asked again it is 0.
///
/// # Errors
/// The system call's.
pub fn pending_error(fd: BorrowedFd<'_>) -> io::Result<i32> {
    Ok(sockopt::socket_error(fd)?.map_or_else(Errno::raw_os_error, |()| 0))
}

/// Sends what is written at once, in small packets too.
///
/// # Errors
/// The system call's.
pub fn set_nodelay(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(fd, true)?)
}

/// Takes a connection that waits: a socket that does not block and is not inherited, and its peer.
///
/// # Errors
/// The system call's; `WouldBlock` if none waits.
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(retry_on_intr(|| sys::accept(fd))?)
}

/// Tells the peer that nothing more will be written.
///
/// # Errors
/// The system call's.
pub fn shut_down_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(shutdown(fd, Shutdown::Write)?)
}

/// Who the socket is connected with.
///
/// # Errors
/// The system call's: `NotConnected` also once the connection was reset.
pub fn peer(fd: BorrowedFd<'_>) -> io::Result<Option<SocketAddrAny>> {
    Ok(getpeername(fd)?)
}

/// The socket's own address.
///
/// # Errors
/// The system call's.
pub fn local(fd: BorrowedFd<'_>) -> io::Result<SocketAddrAny> {
    Ok(getsockname(fd)?)
}

/// What kind of addresses the socket has.
///
/// # Errors
/// The system call's: the fd may be no socket.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    sys::family(fd)
}

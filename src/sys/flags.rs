//! Sockets where the system calls take the flags of a new one: Linux and the BSDs.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, acceptfrom_with, socket_with,
};

const NEW_SOCKET: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A socket that does not block and is not inherited.
///
/// # Errors
/// The system call's.
pub fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, NEW_SOCKET, None)?)
}

/// A connection that waits to be accepted, and its peer. It does not block and is not inherited.
///
/// # Errors
/// The system call's; `AGAIN` if none waits.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    acceptfrom_with(fd, NEW_SOCKET)
}

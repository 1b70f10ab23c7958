//! Sockets on systems whose calls take the flags of a new socket: Linux and the BSDs.

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

/// Accepts a waiting connection. Returns its socket and its peer. The socket does not block and is
/// not inherited.
///
/// # Errors
/// The system call's; `AGAIN` if no connection waits.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    acceptfrom_with(fd, NEW_SOCKET)
}

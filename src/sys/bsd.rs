//! FreeBSD, NetBSD, OpenBSD and DragonFly.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType,
    acceptfrom_with, getsockname, socket_with,
};
use rustix::time::{ClockId, clock_gettime};

pub use super::kqueue::{ChildExit, EventFd, Poller, alarm, child_exit, try_wait};
use crate::core::Time;

/// What keeps writing to a socket without a peer from raising SIGPIPE.
pub const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

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

/// What kind of addresses the socket has.
///
/// # Errors
/// The system call's: the fd may be no socket.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    Ok(getsockname(fd)?.address_family())
}

/// The name of a Unix socket that is no path. Only Linux has such names.
pub fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

/// The time since the clock's epoch.
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    Time::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

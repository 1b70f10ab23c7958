//! FreeBSD, NetBSD, OpenBSD and DragonFly.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, getsockname};
use rustix::time::{ClockId, clock_gettime};

pub use super::flags::{accept, socket};
pub use super::kqueue::{ChildExit, EventFd, Poller, alarm, child_exit, try_wait};
use crate::core::Time;

/// The flag of a write that prevents SIGPIPE if the socket has no peer.
pub const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// The address family of the socket.
///
/// # Errors
/// The system call's, for example if the fd is not a socket.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    Ok(getsockname(fd)?.address_family())
}

/// The abstract name of a Unix socket, which is not a path. Only Linux has such names.
pub fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

/// The time since the clock's epoch.
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    Time::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

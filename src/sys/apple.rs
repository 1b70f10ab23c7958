//! macOS and the other systems of Apple.

use std::ffi::c_uint;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketType, sockopt};

pub use super::kqueue::{ChildExit, EventFd, Poller, alarm, child_exit, try_wait};
use super::steps;
pub use super::steps::family;
use crate::core::Time;

/// No call has a flag for it: `SO_NOSIGPIPE` is an option of the socket. For Python's own sockets
/// Python makes the process ignore SIGPIPE, as Rust's standard library does in a Rust program.
pub const NO_SIGNAL: SendFlags = SendFlags::empty();

/// A socket that does not block, is not inherited and raises no SIGPIPE.
///
/// # Errors
/// The system calls'.
pub fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = steps::socket(family, kind)?;
    sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

/// Accepts a waiting connection. Returns its socket and its peer. The socket does not block, is not
/// inherited and raises no SIGPIPE.
///
/// # Errors
/// The system calls'; `AGAIN` if no connection waits.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, peer) = steps::accept(fd)?;
    // The system refuses it if the peer is gone already. A later write then returns an error.
    let _gone = sockopt::set_socket_nosigpipe(&socket, true);
    Ok((socket, peer))
}

/// The abstract name of a Unix socket, which is not a path. Only Linux has such names.
pub fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

/// `CLOCK_UPTIME_RAW`: the time that `mach_absolute_time` counts, and so `time.monotonic()`.
const UPTIME_RAW: c_uint = 8;

unsafe extern "C" {
    fn clock_gettime_nsec_np(clock: c_uint) -> u64;
}

/// The time since the clock's epoch, which is the boot. The clock stops while the machine sleeps.
pub fn now() -> Time {
    // SAFETY: the function takes a number and returns one.
    Time::from_nanos(unsafe { clock_gettime_nsec_np(UPTIME_RAW) })
}

//! macOS, and what else is Apple's.

use std::ffi::c_uint;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SendFlags, SocketAddrAny, SocketAddrUnix, SocketType, sockopt};

pub use super::kqueue::{ChildExit, EventFd, Poller, alarm, child_exit, try_wait};
use super::steps;
pub use super::steps::family;
use crate::core::Time;

/// No call has a flag for it: `SO_NOSIGPIPE` is an option of the socket. Python has SIGPIPE ignored
/// for its own sockets, as the standard library of Rust has for a Rust program.
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

/// A connection that waits to be accepted, and its peer. It does not block, is not inherited and
/// raises no SIGPIPE.
///
/// # Errors
/// The system calls'; `AGAIN` if none waits.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, peer) = steps::accept(fd)?;
    // Refused if the peer is gone already; whoever writes then is told.
    let _gone = sockopt::set_socket_nosigpipe(&socket, true);
    Ok((socket, peer))
}

/// The name of a Unix socket that is no path. Only Linux has such names.
pub fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

/// `CLOCK_UPTIME_RAW`: the time that `mach_absolute_time` counts, and so `time.monotonic()`.
const UPTIME_RAW: c_uint = 8;

unsafe extern "C" {
    fn clock_gettime_nsec_np(clock: c_uint) -> u64;
}

/// The time since the clock's epoch, which is the boot. It stands still while the machine sleeps.
pub fn now() -> Time {
    // SAFETY: the function takes a number and returns one.
    Time::from_nanos(unsafe { clock_gettime_nsec_np(UPTIME_RAW) })
}

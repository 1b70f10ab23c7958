//! Linux.

mod epoll;
pub mod threads;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, sockopt};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

pub use self::epoll::Poller;
pub use super::flags::{accept, socket};
use crate::core::Time;

/// The flag of a write that prevents SIGPIPE if the socket has no peer.
pub const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// A file that any thread can make readable: an eventfd.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<EventFd> {
        Ok(EventFd(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes it readable. An edge-triggered watch reports it again.
    pub fn send(&self) {
        // It fails only if the counter is full. Then the loop has been sent 2^64 - 2 wakes already.
        let _full = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn drain(&self) {
        let _empty = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The address family of the socket.
///
/// # Errors
/// The system call's, for example if the fd is not a socket.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    Ok(sockopt::socket_domain(fd)?)
}

/// The abstract name of a Unix socket, which is not a path.
pub fn abstract_name(address: &SocketAddrUnix) -> Option<&[u8]> {
    address.abstract_name()
}

/// Is readable when a child process has ended.
pub type ChildExit = OwnedFd;

/// Watches for the end of a child that has not been waited for. `None` if the child has ended
/// already.
///
/// # Errors
/// The system call's. Linux before 5.3 has no pidfds. There the error is `Unsupported`.
pub fn child_exit(child: &Child) -> io::Result<Option<ChildExit>> {
    Ok(Some(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?))
}

/// How the child has ended, if it has.
///
/// # Errors
/// The system call's.
pub fn try_wait(child: &mut Child, _: &ChildExit) -> io::Result<Option<ExitStatus>> {
    child.try_wait()
}

/// A file that becomes readable after a while.
///
/// # Errors
/// If the process has no fd left.
pub fn alarm(after: Duration) -> io::Result<impl AsFd> {
    let it_value = Timespec::try_from(after).map_err(|_| io::ErrorKind::InvalidInput)?;
    let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    timerfd_settime(&alarm, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
    Ok(alarm)
}

/// The time since the clock's epoch, which is the boot.
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    Time::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

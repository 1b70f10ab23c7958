//! What differs from one operating system to the next.
//!
//! The rest of the crate is the same everywhere. It uses what is re-exported here, under the same
//! names and with the same signatures on each system, and names no system itself. Which file is
//! compiled is decided once, below; nothing is decided when the program runs.
//!
//! | | Linux | macOS | BSDs | Windows |
//! |---|---|---|---|---|
//! | `Poller` | an epoll set | a kqueue | a kqueue | none |
//! | `EventFd` | an eventfd | a pipe | a pipe | a socket |
//! | `child_exit` | a pidfd | a kqueue with the process | as macOS | not there |
//! | `try_wait` | `waitid` | once told, `waitid` that waits | as macOS | not there |
//! | `alarm` | a timerfd | a kqueue with a timer | as macOS | not there |
//! | `socket`, `accept` | one system call | a step for each flag | as Linux | as macOS |
//! | no SIGPIPE | a flag of each call | an option of the socket | as Linux | there is none |
//! | `abstract_name` | a name, if it has one | none | none | not there |
//! | `threads` | `/proc` | not told | not told | not told |
//! | `now` | `CLOCK_MONOTONIC` | `CLOCK_UPTIME_RAW` | as Linux | the performance counter |
//!
//! What all Unixes do in the same way is in `unix.rs`. What Windows has nothing for is left out
//! there: pipes, child processes, Unix sockets and the contract of hosts.
//!
//! The clock is always the one that Python's `time.monotonic()` reads.
//!
//! With `--cfg qtloop_libkqueue` a Linux is compiled as a BSD, with a library in place of the
//! kernel's kqueue. That is for tests: see `make kqueue`.

#[cfg(unix)]
mod fork;
mod nonblocking;
mod number;
mod poll;

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(any(
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    qtloop_libkqueue
))]
mod bsd;
#[cfg(all(target_os = "linux", not(qtloop_libkqueue)))]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(target_vendor = "apple")]
use self::apple as system;
#[cfg(any(
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    qtloop_libkqueue
))]
use self::bsd as system;
#[cfg(all(target_os = "linux", not(qtloop_libkqueue)))]
use self::linux as system;
// What kind of system that is.
#[cfg(unix)]
use self::unix as kind;
#[cfg(windows)]
use self::{windows as kind, windows as system};

// What several systems share.
#[cfg(not(any(target_vendor = "apple", windows)))]
mod flags;
#[cfg(all(unix, not(all(target_os = "linux", not(qtloop_libkqueue)))))]
mod kqueue;
#[cfg(any(target_vendor = "apple", all(unix, test)))]
mod steps;
#[cfg(all(unix, test))]
mod tests;
#[cfg(not(all(target_os = "linux", not(qtloop_libkqueue))))]
pub mod threads;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use self::fork::after_fork;
pub use self::kind::{
    Kept, READ_AT_ONCE, UNKNOWN_ERROR, WRITE_AT_ONCE, is_open, is_under_way, receive_many,
    transmit_many,
};
pub use self::nonblocking::set_nonblocking;
pub use self::number::number;
pub use self::poll::{poll, poll_for};
#[cfg(all(target_os = "linux", not(qtloop_libkqueue)))]
pub use self::system::threads;
#[cfg(unix)]
pub use self::system::{ChildExit, abstract_name, alarm, child_exit, try_wait};
pub use self::system::{EventFd, NO_SIGNAL, Poller, accept, family, now, socket};

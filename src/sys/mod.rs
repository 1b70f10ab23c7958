//! What differs from one operating system to the next.
//!
//! The rest of the crate is the same everywhere. It uses what is re-exported here, under the same
//! names and with the same signatures on each system, and names no system itself. Which file is
//! compiled is decided once, below; nothing is decided when the program runs.
//!
//! | | Linux | macOS | BSDs |
//! |---|---|---|---|
//! | `Poller` | an epoll set | a kqueue | a kqueue |
//! | `EventFd` | an eventfd | a pipe | a pipe |
//! | `child_exit` | a pidfd | a kqueue with the process | a kqueue with the process |
//! | `try_wait` | `waitid` | once told, `waitid` that waits | as macOS |
//! | `alarm` | a timerfd | a kqueue with a timer | a kqueue with a timer |
//! | `socket`, `accept` | one system call | a step for each flag | one system call |
//! | no SIGPIPE | a flag of each call | an option of the socket | a flag of each call |
//! | `abstract_name` | a name, if it has one | none | none |
//! | `threads` | `/proc` | not told | not told |
//! | `now` | `CLOCK_MONOTONIC` | `CLOCK_UPTIME_RAW` | `CLOCK_MONOTONIC` |
//!
//! The clock is always the one that Python's `time.monotonic()` reads.
//!
//! With `--cfg qtloop_libkqueue` a Linux is compiled as a BSD, with a library in place of the
//! kernel's kqueue. That is for tests: see `make kqueue`.

mod fork;
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

// What several systems share.
#[cfg(not(all(target_os = "linux", not(qtloop_libkqueue))))]
mod kqueue;
#[cfg(any(target_vendor = "apple", test))]
mod steps;
#[cfg(test)]
mod tests;

pub use self::fork::after_fork;
pub use self::poll::{is_open, poll, poll_for};
pub use self::system::{
    ChildExit, EventFd, NO_SIGNAL, Poller, abstract_name, accept, alarm, child_exit, family, now,
    socket, threads, try_wait,
};

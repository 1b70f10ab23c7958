//! The number of an fd, and what the system takes for one.

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::core::Fd;

/// The number of an fd.
#[cfg(unix)]
pub fn number(fd: BorrowedFd<'_>) -> Fd {
    fd.as_raw_fd()
}

/// The number of a socket. Handles have 32 bits that matter, whatever their width.
#[cfg(windows)]
#[allow(clippy::cast_possible_truncation)]
pub fn number(fd: BorrowedFd<'_>) -> Fd {
    fd.as_raw_fd() as Fd
}

/// What the system takes for a number.
#[cfg(unix)]
pub fn raw(fd: Fd) -> RawFd {
    fd
}

/// What the system takes for a number.
#[cfg(windows)]
pub fn raw(fd: Fd) -> RawFd {
    RawFd::from(fd.cast_unsigned())
}

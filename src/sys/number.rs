//! The conversion between the number of an fd and the system's own type.

use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::core::Fd;

/// The number of an fd.
#[cfg(unix)]
pub fn number(fd: BorrowedFd<'_>) -> Fd {
    fd.as_raw_fd()
}

/// The number of a socket. Only 32 bits of a handle are significant, whatever its width.
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

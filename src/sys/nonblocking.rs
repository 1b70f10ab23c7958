//! Fds that do not block.

use std::io;

use rustix::fd::BorrowedFd;

/// Makes reading and writing return at once if they would block.
///
/// # Errors
/// The system call's.
#[cfg(not(miri))]
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// The same for Miri, which supports only the two calls of `fcntl`.
#[cfg(miri)]
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

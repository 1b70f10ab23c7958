//! What all Unixes do in the same way, and Windows in another.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::fstat;
use rustix::io::{Errno, fcntl_dupfd_cloexec, fcntl_getfd, readv, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sendmsg};

use super::poll::borrow;
use crate::core::Fd;

/// Lets a call read nothing rather than wait, on a socket that would block.
pub const READ_AT_ONCE: RecvFlags = RecvFlags::DONTWAIT;

/// Lets a call write nothing rather than wait, on a socket that would block.
pub const WRITE_AT_ONCE: SendFlags = SendFlags::DONTWAIT;

/// The error of what has failed for no reason that the system knows of.
pub const UNKNOWN_ERROR: Errno = Errno::IO;

/// Whether the number names an open file.
///
/// # Errors
/// `EBADF` if not.
pub fn is_open(fd: Fd) -> io::Result<()> {
    fcntl_getfd(borrow(fd)?)?;
    Ok(())
}

/// Another number of an open file, by which it stays open and can be recognised.
#[derive(Debug)]
pub struct Kept(OwnedFd);

impl Kept {
    /// One of the file that the number names now; `None` if there is none.
    pub fn of(number: Fd) -> Option<Kept> {
        Some(Kept(fcntl_dupfd_cloexec(borrow(number).ok()?, 0).ok()?))
    }

    /// The number.
    pub fn number(&self) -> Fd {
        self.0.as_raw_fd()
    }

    /// Whether the other number names the same file now.
    pub fn is(&self, number: Fd) -> bool {
        let Ok(other) = borrow(number) else { return false };
        match (fstat(other), fstat(&self.0)) {
            (Ok(found), Ok(known)) => (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino),
            _ => false,
        }
    }
}

/// Whether a connection that was begun goes on by itself. An interrupted one does as well.
pub fn is_under_way(error: Errno) -> bool {
    matches!(error, Errno::INPROGRESS | Errno::INTR)
}

/// Writes to a socket from several places as much as there is room for, and says how much that was.
///
/// # Errors
/// The system call's; `WouldBlock` if there is no room.
pub fn transmit_many(
    fd: BorrowedFd<'_>,
    data: &[IoSlice<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    let nothing = &mut SendAncillaryBuffer::default();
    Ok(retry_on_intr(|| sendmsg(fd, data, nothing, flags))?)
}

/// Reads from a socket what has come to several places.
///
/// # Errors
/// The system call's.
pub fn receive_many(fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    Ok(readv(fd, buffers)?)
}

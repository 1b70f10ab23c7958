//! Code that is the same on all Unixes, and different on Windows.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::fstat;
use rustix::io::{Errno, fcntl_dupfd_cloexec, fcntl_getfd, readv, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sendmsg};

use super::poll::borrow;
use crate::core::Fd;

/// The flag of a read that must not wait, even on a blocking socket.
pub const READ_AT_ONCE: RecvFlags = RecvFlags::DONTWAIT;

/// The flag of a write that must not wait, even on a blocking socket.
pub const WRITE_AT_ONCE: SendFlags = SendFlags::DONTWAIT;

/// The error of a failure for which the system gives no reason.
pub const UNKNOWN_ERROR: Errno = Errno::IO;

/// Whether the number names an open file.
///
/// # Errors
/// `EBADF` if not.
pub fn is_open(fd: Fd) -> io::Result<()> {
    fcntl_getfd(borrow(fd)?)?;
    Ok(())
}

/// A duplicate fd of an open file. It keeps the file open, and serves to recognise the file.
#[derive(Debug)]
pub struct Kept(OwnedFd);

impl Kept {
    /// A duplicate of the file that the number names now; `None` if there is none.
    pub fn of(number: Fd) -> Option<Kept> {
        Some(Kept(fcntl_dupfd_cloexec(borrow(number).ok()?, 0).ok()?))
    }

    /// The number.
    pub fn number(&self) -> Fd {
        self.0.as_raw_fd()
    }

    /// Whether `number` names the same file now.
    pub fn is(&self, number: Fd) -> bool {
        let Ok(other) = borrow(number) else { return false };
        match (fstat(other), fstat(&self.0)) {
            (Ok(found), Ok(known)) => (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino),
            _ => false,
        }
    }
}

/// Whether the error of `connect` means that the connection is still being made. It is also being
/// made after an interruption.
pub fn is_under_way(error: Errno) -> bool {
    matches!(error, Errno::INPROGRESS | Errno::INTR)
}

/// Writes data from several buffers to a socket, as much as it has room for. Returns the number of
/// bytes.
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

/// Reads the data that has arrived at a socket into several buffers.
///
/// # Errors
/// The system call's.
pub fn receive_many(fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    Ok(readv(fd, buffers)?)
}

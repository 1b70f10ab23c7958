//! poll(2), which all Unixes have, and `WSAPoll`.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::number::raw;
use crate::core::{Direction, Fd, Interest};

/// A number that somebody wants to be watched, for one call.
pub fn borrow<'fd>(fd: Fd) -> io::Result<BorrowedFd<'fd>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: used for one call to the kernel, which answers EBADF for a number that names no open
    // fd.
    Ok(unsafe { BorrowedFd::borrow_raw(raw(fd)) })
}

/// What `fds` are ready for, by poll(2): at once, or when `block` only once one is ready.
///
/// # Errors
/// As [`poll_for`].
pub fn poll(fds: &[(Fd, Interest)], block: bool) -> io::Result<Vec<(Fd, Interest)>> {
    poll_for(fds, (!block).then_some(Duration::ZERO))
}

/// What `fds` are ready for, by poll(2): once one is ready, or `patience` has passed.
///
/// # Errors
/// The kernel's; `EINTR` among them, so that the caller can look at its signals.
pub fn poll_for(
    fds: &[(Fd, Interest)],
    patience: Option<Duration>,
) -> io::Result<Vec<(Fd, Interest)>> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, interest)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.has(Direction::Read));
            flags.set(PollFlags::OUT, interest.has(Direction::Write));
            // SAFETY: the borrow ends with this call; poll(2) reports POLLNVAL for a number that
            // names no open fd.
            PollFd::from_borrowed_fd(unsafe { BorrowedFd::borrow_raw(raw(*fd)) }, flags)
        })
        .collect();
    // What no clock can count is for ever.
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    rustix::event::poll(&mut polled, patience.as_ref())?;
    let ready = fds.iter().zip(&polled).filter_map(|((fd, interest), polled)| {
        let flags = polled.revents();
        let mut ready = Interest::NONE;
        if flags.intersects(PollFlags::OUT.complement()) && interest.has(Direction::Read) {
            ready = ready | Interest::READ;
        }
        if flags.intersects(PollFlags::IN.complement()) && interest.has(Direction::Write) {
            ready = ready | Interest::WRITE;
        }
        (!ready.is_none()).then_some((*fd, ready))
    });
    Ok(ready.collect())
}

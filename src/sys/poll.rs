//! poll(2), which all Unixes have, and `WSAPoll`.

use std::io;
use std::time::Duration;

use rustix::event::Timespec;
#[cfg(not(miri))]
use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::number::raw;
use crate::core::{Direction, Fd, Interest};

/// Borrows the fd with this number for one call.
pub fn borrow<'fd>(fd: Fd) -> io::Result<BorrowedFd<'fd>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: used for one call to the kernel, which answers EBADF for a number that names no open
    // fd.
    Ok(unsafe { BorrowedFd::borrow_raw(raw(fd)) })
}

/// The directions in which `fds` are ready, by poll(2). If `block` is set, it waits until one is
/// ready. Otherwise it returns at once.
///
/// # Errors
/// As [`poll_for`].
pub fn poll(fds: &[(Fd, Interest)], block: bool) -> io::Result<Vec<(Fd, Interest)>> {
    poll_for(fds, (!block).then_some(Duration::ZERO))
}

/// The directions in which `fds` are ready, by poll(2). It waits until one is ready, or until
/// `patience` has passed.
///
/// # Errors
/// The kernel's. `EINTR` is one of them, so that the caller can handle its signals.
#[cfg(not(miri))]
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
    // A time that is too long for `Timespec` means for ever.
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

/// The same for Miri, which supports edge-triggered epoll but not poll(2). A new set reports the
/// fds that are ready now.
#[cfg(miri)]
pub fn poll_for(
    fds: &[(Fd, Interest)],
    patience: Option<Duration>,
) -> io::Result<Vec<(Fd, Interest)>> {
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

    let set = epoll::create(CreateFlags::CLOEXEC)?;
    for (place, (fd, interest)) in fds.iter().enumerate() {
        let mut flags = EventFlags::ET;
        flags.set(EventFlags::IN, interest.has(Direction::Read));
        flags.set(EventFlags::OUT, interest.has(Direction::Write));
        epoll::add(&set, borrow(*fd)?, EventData::new_u64(place as u64), flags)?;
    }
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    let mut events = Vec::with_capacity(fds.len() + 1);
    epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), patience.as_ref())?;
    let ready = events.iter().map(|event| {
        let (fd, interest) = fds[event.data.u64() as usize];
        let (flags, mut ready) = (event.flags, Interest::NONE);
        if flags.intersects(EventFlags::OUT.complement()) {
            ready = ready | Interest::READ;
        }
        if flags.intersects(EventFlags::IN.complement()) {
            ready = ready | Interest::WRITE;
        }
        (fd, ready & interest)
    });
    Ok(ready.collect())
}

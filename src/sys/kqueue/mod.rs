//! All file descriptors in one kqueue: however many sockets are open, the run loop polls a single
//! fd. The systems that have no kqueue are not compiled with this.
//!
//! A kqueue knows nothing of an fd but what it is watched for: each direction is a watch of its
//! own. A watch ends when the number is closed, whatever else has the file open. So no file is ever
//! reported that no number means any more, which an epoll set has to be protected against.

mod changes;
mod event_fd;
#[cfg(qtloop_libkqueue)]
mod libkqueue;
#[cfg(not(qtloop_libkqueue))]
mod native;
mod once;
mod queue;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;

use self::changes::Changes;
pub use self::event_fd::EventFd;
pub use self::once::{ChildExit, alarm, child_exit, try_wait};
use self::queue::{Event, EventFilter, EventFlags, Kqueue};
use crate::core::{Direction, Fd, Interest};

/// How many events one look takes; the kernel hands out the rest next time.
const EVENTS_A_LOOK: usize = 512;

/// A kqueue with fds.
pub struct Poller {
    queue: Kqueue,
    events: Vec<Event>,
    changes: Changes,
}

impl Poller {
    /// What users call it.
    pub const NAME: &'static str = "kqueue";

    /// An empty one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Poller> {
        let queue = Kqueue::new()?;
        Ok(Poller { queue, events: Vec::with_capacity(EVENTS_A_LOOK), changes: Changes::default() })
    }

    /// Whether it was made before a fork: the child has none, and a new one is to be made before a
    /// run.
    pub fn is_inherited(&self) -> bool {
        self.queue.is_inherited()
    }

    /// The fd that is readable whenever one in it is ready: what the run loop watches.
    pub fn fd(&self) -> Fd {
        self.queue.as_fd().as_raw_fd()
    }

    /// Watches the wake fd for reading, once each time that it is sent a wake: it need not be
    /// drained.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_wake_fd(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.expect(fd.as_raw_fd(), Interest::READ)
    }

    /// Watches `fd` for what is `kept`, which it is watched for, and what is `added`.
    /// Level-triggered.
    ///
    /// Whether the number still means the file that it was watched for, as far as is known. If it
    /// was closed and its number has come back, only what is `added` is watched.
    ///
    /// # Errors
    /// `EBADF` for a closed fd, as the kernel says; `EPIPE` for the writing end of a pipe that
    /// nobody reads. Ending a watch does not fail.
    pub fn change(&mut self, fd: Fd, kept: Interest, added: Interest) -> io::Result<bool> {
        if self.is_inherited() {
            return Ok(true);
        }
        self.changes.begin(fd);
        for direction in [Direction::Read, Direction::Write] {
            if added.has(direction) {
                self.changes.replace(direction, EventFlags::empty());
            } else if kept.has(direction) {
                self.changes.ask(direction);
            } else {
                self.changes.remove(direction);
            }
        }
        let outcome = self.changes.make(&self.queue)?;
        if (kept | added).is_none() {
            return Ok(outcome.has_removed);
        }
        Ok(kept.is_none() || outcome.is_there)
    }

    /// Watches `fd` for the next time that it becomes ready for what `interest` says, or now if it
    /// is; once. Who waits no more may leave it there, to wait again by one system call. At worst
    /// it is reported once more in vain, and can be taken out then, by [`change`](Poller::change).
    ///
    /// # Errors
    /// As [`change`](Poller::change).
    pub fn expect(&mut self, fd: Fd, interest: Interest) -> io::Result<()> {
        if self.is_inherited() {
            return Ok(());
        }
        self.changes.begin(fd);
        for direction in [Direction::Read, Direction::Write] {
            if interest.has(direction) {
                self.changes.replace(direction, EventFlags::CLEAR);
            } else {
                self.changes.remove(direction);
            }
        }
        self.changes.make(&self.queue).map(drop)
    }

    /// Never: see [`look`](Poller::look).
    pub fn is_haunted(&mut self) -> bool {
        false
    }

    /// Replaces it by an empty one under the same number. Not needed, and refused.
    ///
    /// # Errors
    /// `ENOSYS`.
    pub fn clear(&mut self) -> io::Result<()> {
        Err(Errno::NOSYS.into())
    }

    /// Hands every fd that is ready now to `report`, without blocking; one that is ready for both
    /// directions twice. Says how many reports there were, and whether one was of a file that no
    /// number means any more: that does not happen.
    pub fn look(&mut self, mut report: impl FnMut(Fd, Interest)) -> (usize, bool) {
        if self.queue.look(&mut self.events).is_err() {
            return (0, false);
        }
        for event in &self.events {
            // An error or a hang-up is an event of each direction that is watched.
            match event.filter() {
                EventFilter::Read(fd) => report(fd, Interest::READ),
                EventFilter::Write(fd) => report(fd, Interest::WRITE),
                _ => {}
            }
        }
        (self.events.len(), false)
    }
}

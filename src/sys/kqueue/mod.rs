//! All file descriptors in one kqueue. The run loop polls a single fd, however many sockets are
//! open. Systems without kqueue do not compile this module.
//!
//! In a kqueue each direction of an fd is a watch of its own. A watch ends when the number is
//! closed, even if a duplicate keeps the file open. So a kqueue never reports a file that has lost
//! its number. An epoll set may do so.

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

/// How many events one look takes. The kernel returns the other events at the next look.
const EVENTS_A_LOOK: usize = 512;

/// A kqueue with fds.
pub struct Poller {
    queue: Kqueue,
    events: Vec<Event>,
    changes: Changes,
}

impl Poller {
    /// The name for users.
    pub const NAME: &'static str = "kqueue";

    /// An empty one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Poller> {
        let queue = Kqueue::new()?;
        Ok(Poller { queue, events: Vec::with_capacity(EVENTS_A_LOOK), changes: Changes::default() })
    }

    /// Whether the kqueue was made before a fork. The child has none, so a new one must be made
    /// before a run.
    pub fn is_inherited(&self) -> bool {
        self.queue.is_inherited()
    }

    /// The fd that the run loop watches. It is readable whenever an fd in the kqueue is ready.
    pub fn fd(&self) -> Fd {
        self.queue.as_fd().as_raw_fd()
    }

    /// Watches the wake fd for reading. It is reported once for each wake, so it need not be
    /// drained.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_wake_fd(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.expect(fd.as_raw_fd(), Interest::READ)
    }

    /// Watches `fd` for `kept`, for which it is already watched, and for `added`. Level-triggered.
    ///
    /// Returns whether the number still means the file that was watched, as far as is known. If the
    /// file was closed and its number has come back, `fd` is watched only for `added`.
    ///
    /// # Errors
    /// The kernel's: `EBADF` for a closed fd, `EPIPE` for the writing end of a pipe without a
    /// reader. Ending a watch does not fail.
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

    /// Watches `fd` until it is ready for `interest` the next time. If it is ready now, it is
    /// reported at once. Edge-triggered: it is reported once each time that it becomes ready. A
    /// caller that has stopped waiting may leave the fd in the kqueue. To wait again then takes one
    /// system call. At worst the fd is reported once more in vain. Then [`change`](Poller::change)
    /// can remove it.
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

    /// Never true: see [`look`](Poller::look).
    pub fn is_haunted(&mut self) -> bool {
        false
    }

    /// Would replace the kqueue by an empty one under the same number. That is not needed, and is
    /// refused.
    ///
    /// # Errors
    /// `ENOSYS`.
    pub fn clear(&mut self) -> io::Result<()> {
        Err(Errno::NOSYS.into())
    }

    /// Hands every fd that is ready now to `report`, without blocking. If an fd is ready for both
    /// directions, it is reported twice. Returns how many reports there were. The second value says
    /// whether a file that has lost its number was reported. It is always false.
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

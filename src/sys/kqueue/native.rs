//! The kernel's kqueue.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
pub use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents};
use rustix::event::kqueue::{kevent_timespec, kqueue};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::sys::fork::Born;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A kqueue. It is readable when it has an event.
#[derive(Debug)]
pub struct Kqueue {
    queue: ManuallyDrop<OwnedFd>,
    /// The process in which the kqueue was made. Its children do not have the kqueue: there its
    /// number means no file, or another file.
    born: Born,
}

impl Kqueue {
    /// An empty one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Kqueue> {
        let queue = kqueue()?;
        fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
        Ok(Kqueue { queue: ManuallyDrop::new(queue), born: Born::now() })
    }

    /// Whether it was made before a fork.
    pub fn is_inherited(&self) -> bool {
        self.born.is_in_a_parent()
    }

    /// Makes changes, each of which asks for a receipt, and puts the receipts into `receipts`.
    ///
    /// # Safety
    /// The fds of the changes are open as long as they are in the kqueue. If one is not, the caller
    /// must handle the error of the kernel.
    pub(super) unsafe fn change(
        &self,
        changes: &[Event],
        receipts: &mut Vec<Event>,
    ) -> io::Result<()> {
        // There is room only for the receipts. So the call takes no event, which would be lost
        // here.
        receipts.clear();
        receipts.extend_from_slice(changes);
        // SAFETY: the caller's promise.
        let count =
            unsafe { kevent_timespec(self, changes, receipts.as_mut_slice(), Some(&AT_ONCE)) }?;
        receipts.truncate(count);
        Ok(())
    }

    /// Puts the events that have happened into `events`, up to its capacity.
    pub(super) fn look(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        // SAFETY: no watch is changed.
        unsafe { kevent_timespec(self, &[], spare_capacity(events), Some(&AT_ONCE)) }?;
        Ok(())
    }
}

impl AsFd for Kqueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl Drop for Kqueue {
    fn drop(&mut self) {
        if !self.is_inherited() {
            // SAFETY: the fd is not used again.
            unsafe { ManuallyDrop::drop(&mut self.queue) };
        }
    }
}

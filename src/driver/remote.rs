//! A loop as other threads see it.

use std::io;

use super::Brake;
use crate::core::Inbox;
use crate::host::wake_fd::WakeFd;

/// Takes items from any thread to the loop's thread. It outlives the loop. What is sent to a closed
/// loop is never run.
#[derive(Debug)]
pub struct Remote<T> {
    inbox: Inbox<T>,
    wake_fd: WakeFd,
    brake: Brake,
}

impl<T> Remote<T> {
    pub(super) fn new() -> io::Result<Remote<T>> {
        Ok(Remote { inbox: Inbox::default(), wake_fd: WakeFd::new()?, brake: Brake::default() })
    }

    /// Sends `item` to be run in the loop's next iteration, and wakes the loop if it sleeps.
    pub fn send(&self, item: T) {
        self.send_and_count(item);
    }

    /// As [`send`](Remote::send). Returns how many items wait in the inbox now.
    pub fn send_and_count(&self, item: T) -> usize {
        let waiting = self.inbox.push_and_count(item);
        self.wake_fd.wake();
        waiting
    }

    /// Where a sender can wait for the loop's next turn.
    pub fn brake(&self) -> &Brake {
        &self.brake
    }

    /// Wakes the loop without sending anything.
    pub fn wake(&self) {
        self.wake_fd.signal();
    }

    pub(super) fn is_filled(&self) -> bool {
        self.inbox.is_filled()
    }

    pub(super) fn inbox(&self) -> &Inbox<T> {
        &self.inbox
    }

    pub(super) fn take_all(&self) -> Vec<T> {
        self.inbox.take_all()
    }

    pub(super) fn visit<E>(&self, visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.inbox.visit(visit)
    }

    pub(super) fn wake_fd(&self) -> &WakeFd {
        &self.wake_fd
    }
}

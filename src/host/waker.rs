//! Wakes the loop's thread from any other: an eventfd that the loop watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd with a flag that makes a thousand wakes cost one system call.
#[derive(Debug)]
pub struct Waker {
    fd: OwnedFd,
    /// Whether the loop is awake, or has been sent a wake: either way it will look before it sleeps.
    awake: AtomicBool,
}

impl Waker {
    /// A waker of a loop that counts as awake until [`may_sleep`](Waker::may_sleep).
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Waker> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker { fd, awake: AtomicBool::new(true) })
    }

    /// Makes the loop look at its inbox. From any thread; what was stored before the call is seen by the loop.
    pub fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.signal();
        }
    }

    /// Sends the wake whatever the flag says.
    pub fn signal(&self) {
        // Fails only if the counter is full, and then the loop has been sent 2^64 - 2 wakes already.
        let _full = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    /// The loop is awake: wakes cost nothing until [`may_sleep`](Waker::may_sleep).
    pub fn is_awake(&self) {
        self.awake.store(true, Ordering::SeqCst);
    }

    /// The loop is about to sleep. It must look at its inbox once more *after* this call: what came before it sent no wake.
    pub fn may_sleep(&self) {
        self.awake.store(false, Ordering::SeqCst);
    }

    /// Takes the wakes back that were sent, for a run loop that watches the fd level-triggered.
    pub fn drain(&self) {
        let _empty = rustix::io::read(&self.fd, &mut [0u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Interest;
    use crate::host::epoll::poll;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_a_sleeping_loop_is_sent_a_wake() -> io::Result<()> {
        let waker = Waker::new()?;
        let is_sent = || poll(&[(waker.as_fd().as_raw_fd(), Interest::READ)], false).map(|ready| ready.len() == 1);
        waker.wake();
        assert!(!is_sent()?);
        waker.may_sleep();
        waker.wake();
        waker.wake();
        assert!(is_sent()?);
        waker.drain();
        assert!(!is_sent()?);
        Ok(())
    }
}

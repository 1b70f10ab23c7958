//! Wakes the loop's thread from any other, by a file that the loop watches.

use std::io;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rustix::fd::{AsFd, BorrowedFd};

use crate::core::{AwakeFlag, Fd};
use crate::sys::{self, EventFd};

/// A file of the system's for wakes, with a flag that makes a thousand wakes cost one system call.
#[derive(Debug)]
pub struct WakeFd {
    /// None once the loop is closed. Locked, so that no thread writes to a number that has come to
    /// mean another file.
    fd: RwLock<Option<EventFd>>,
    awake: AwakeFlag,
}

impl WakeFd {
    /// That of a loop that counts as awake until [`may_sleep`](WakeFd::may_sleep).
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<WakeFd> {
        Ok(WakeFd { fd: RwLock::new(Some(EventFd::new()?)), awake: AwakeFlag::default() })
    }

    /// Makes the loop look at its inbox. From any thread; what was stored before the call is seen
    /// by the loop.
    pub fn wake(&self) {
        if self.awake.wake() {
            self.signal();
        }
    }

    /// Sends the wake whatever the flag says.
    pub fn signal(&self) {
        if let Some(fd) = &*self.lock() {
            fd.send();
        }
    }

    /// The loop is awake: wakes cost nothing until [`may_sleep`](WakeFd::may_sleep).
    pub fn is_awake(&self) {
        self.awake.is_awake();
    }

    /// The loop is about to sleep. It must look at its inbox once more *after* this call: what came
    /// before it sent no wake.
    pub fn may_sleep(&self) {
        self.awake.may_sleep();
    }

    /// Takes the wakes back that were sent, for a run loop that watches the fd level-triggered.
    pub fn drain(&self) {
        if let Some(fd) = &*self.lock() {
            fd.drain();
        }
    }

    /// The fd's number, for the run loop to watch; -1 once it is closed.
    pub fn fd(&self) -> Fd {
        self.lock().as_ref().map_or(-1, |fd| sys::number(fd.as_fd()))
    }

    /// Calls `with` with the fd, unless it is closed.
    pub fn with_fd<R>(&self, with: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        self.lock().as_ref().map(|fd| with(fd.as_fd()))
    }

    /// Closes the fd; wakes from now on do nothing.
    pub fn close(&self) {
        self.fd.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn lock(&self) -> RwLockReadGuard<'_, Option<EventFd>> {
        // Nothing that can panic runs under the lock.
        self.fd.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Interest;
    use crate::sys::poll;

    #[test]
    fn only_a_sleeping_loop_is_sent_a_wake() -> io::Result<()> {
        let wake_fd = WakeFd::new()?;
        let is_sent =
            || poll(&[(wake_fd.fd(), Interest::READ)], false).map(|ready| ready.len() == 1);
        wake_fd.wake();
        assert!(!is_sent()?);
        wake_fd.may_sleep();
        wake_fd.wake();
        wake_fd.wake();
        assert!(is_sent()?);
        wake_fd.drain();
        assert!(!is_sent()?);
        wake_fd.close();
        wake_fd.signal();
        assert_eq!(wake_fd.fd(), -1);
        Ok(())
    }
}

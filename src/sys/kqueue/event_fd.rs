//! A file that any thread can make readable: a pipe.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, ioctl_fionbio};

/// Both ends of a pipe.
#[derive(Debug)]
pub struct EventFd {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl EventFd {
    /// A new one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<EventFd> {
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        ioctl_fionbio(&reader, true)?;
        ioctl_fionbio(&writer, true)?;
        Ok(EventFd { reader, writer })
    }

    /// Makes it readable. An edge-triggered watch reports it again.
    pub fn send(&self) {
        // Nothing can be written to a full pipe, so no watch would report it. With an
        // edge-triggered watch no code reads the pipe, and it may become full.
        while let Err(Errno::AGAIN | Errno::INTR) = rustix::io::write(&self.writer, &[0]) {
            self.drain();
        }
    }

    /// Makes it unreadable.
    pub fn drain(&self) {
        let buffer = &mut [0; 4096];
        while matches!(rustix::io::read(&self.reader, &mut *buffer), Ok(4096) | Err(Errno::INTR)) {}
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Poller;
    use super::*;
    use crate::sys::tests::look;

    #[test]
    fn a_wake_is_seen_however_many_were_sent_before() -> io::Result<()> {
        let (wake_fd, mut poller) = (EventFd::new()?, Poller::new()?);
        poller.add_wake_fd(wake_fd.as_fd())?;
        (0..1_000_000).for_each(|_| wake_fd.send());
        assert_eq!(look(&mut poller).len(), 1);
        assert_eq!(look(&mut poller).len(), 0);
        wake_fd.send();
        assert_eq!(look(&mut poller).len(), 1);
        Ok(())
    }
}

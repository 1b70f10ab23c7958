//! An epoll set, level-triggered, each fd known by a number of the caller's choice.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    Both,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Self::Read => libc::EPOLLIN,
            Self::Write => libc::EPOLLOUT,
            Self::Both => libc::EPOLLIN | libc::EPOLLOUT,
        };
        bits.cast_unsigned()
    }
}

/// The set, and room for one harvest of it.
pub struct Epoll {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just made this fd and nothing else owns it.
        let set = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { set, events: Vec::with_capacity(1024) })
    }

    /// Starts to watch `fd`; its events carry `key`.
    pub fn add(&self, fd: RawFd, key: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, key, interest)
    }

    /// Changes what `fd` is watched for.
    pub fn change(&self, fd: RawFd, key: usize, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, key, interest)
    }

    fn control(&self, operation: i32, fd: RawFd, key: usize, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: key as u64 };
        // SAFETY: `event` lives through the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.set.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Sleeps until something is ready or `timeout` is over (`None`: forever); gives the keys of
    /// what is ready.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = usize>> {
        let timeout = timeout.map_or(-1, |t| t.as_millis().try_into().unwrap_or(i32::MAX));
        let room = self.events.capacity();
        // SAFETY: the kernel writes at most `room` events into memory reserved for that many.
        let count = unsafe {
            libc::epoll_wait(
                self.set.as_raw_fd(),
                self.events.as_mut_ptr(),
                room.try_into().unwrap_or(1),
                timeout,
            )
        };
        let count = match check(count) {
            Ok(count) => count.unsigned_abs() as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has filled the first `count` events, and `count` is within the
        // capacity.
        unsafe { self.events.set_len(count) };
        Ok(self.events.drain(..).map(|event| event.u64 as usize))
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

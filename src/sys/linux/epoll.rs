//! All file descriptors in one epoll set. The run loop polls a single fd, however many sockets are
//! open.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{DupFlags, Errno};

use crate::core::watch::FdHasher;
use crate::core::{Fd, Interest};
use crate::sys::fork::Born;
use crate::sys::poll::borrow;

/// How many events one look takes. The kernel returns the other events at the next look, fairly.
const EVENTS_A_LOOK: usize = 512;

/// How often a file that has lost its number may be reported. After that all other files are put
/// into a new set, which costs a system call for each of them.
const PATIENCE: u32 = 16;

/// An epoll set.
pub struct Poller {
    set: OwnedFd,
    /// The process in which the set was made.
    born: Born,
    events: Vec<epoll::Event>,
    /// How often each number was added. A file may stay in the set although its number was closed
    /// and means another file by now. That happens if the file has a duplicate, in a forked child
    /// for example. The events of the old file carry an older count.
    additions: HashMap<Fd, u32, BuildHasherDefault<FdHasher>>,
    /// How often a file that has lost its number was reported since the last new set.
    sightings: u32,
}

impl Poller {
    /// The name for users.
    pub const NAME: &'static str = "epoll";

    /// An empty set.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Poller> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poller {
            set,
            born: Born::now(),
            events: Vec::with_capacity(EVENTS_A_LOOK),
            additions: HashMap::default(),
            sightings: 0,
        })
    }

    /// Whether the set belongs to the parent process. Then a new one must be made before a run.
    pub fn is_inherited(&self) -> bool {
        self.born.is_in_a_parent()
    }

    /// The fd that the run loop watches. It is readable whenever an fd in the set is ready.
    pub fn fd(&self) -> Fd {
        self.set.as_raw_fd()
    }

    /// Watches the wake fd for reading. It is reported once for each wake, so it need not be
    /// drained.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_wake_fd(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(
            &self.set,
            fd,
            EventData::new_u64(data(fd.as_raw_fd(), 0)),
            EventFlags::IN | EventFlags::ET,
        )?)
    }

    /// Watches `fd` for `kept`, for which it is already watched, and for `added`. Level-triggered.
    ///
    /// Returns whether the number still means the file that was watched, as far as is known. If the
    /// file was closed and its number has come back, `fd` is watched only for `added`.
    ///
    /// # Errors
    /// The kernel's: `EBADF` for a closed fd, `EPERM` for a regular file. Ending a watch does not
    /// fail.
    pub fn change(&mut self, fd: Fd, kept: Interest, added: Interest) -> io::Result<bool> {
        if self.is_inherited() {
            return Ok(true);
        }
        let interest = kept | added;
        if interest.is_none() {
            // A closed fd has left the set by itself, unless its file has a duplicate.
            return Ok(borrow(fd).is_ok_and(|fd| epoll::delete(&self.set, fd).is_ok()));
        }
        if kept.is_none() {
            return self.set(fd, flags(added), false).map(|()| true);
        }
        if self.modify(fd, flags(interest))? {
            return Ok(true);
        }
        if !added.is_none() {
            self.set(fd, flags(added), false)?;
        }
        Ok(false)
    }

    /// Watches `fd` until it is ready for `interest` the next time. If it is ready now, it is
    /// reported at once.
    ///
    /// Edge-triggered. A caller that has stopped waiting may leave the fd in the set. To wait again
    /// then takes one system call, which also notices if the number means another file by now. At
    /// worst the fd is reported once more in vain. Then [`change`](Poller::change) can remove it.
    ///
    /// # Errors
    /// As [`change`](Poller::change).
    pub fn expect(&mut self, fd: Fd, interest: Interest) -> io::Result<()> {
        if self.is_inherited() {
            Ok(())
        } else {
            self.set(fd, flags(interest) | EventFlags::ET, true)
        }
    }

    /// Sets the interest for which `fd` is watched. `is_known` says that it seems to be in the set.
    fn set(&mut self, fd: Fd, flags: EventFlags, is_known: bool) -> io::Result<()> {
        if is_known && self.modify(fd, flags)? {
            return Ok(());
        }
        let borrowed = borrow(fd)?;
        let additions = self.additions.entry(fd).or_default();
        *additions = additions.wrapping_add(1);
        let data = EventData::new_u64(data(fd, *additions));
        match epoll::add(&self.set, borrowed, data, flags) {
            Err(Errno::EXIST) => Ok(epoll::modify(&self.set, borrowed, data, flags)?),
            outcome => Ok(outcome?),
        }
    }

    /// Changes the interest for which `fd` is watched. Returns whether its file is in the set.
    fn modify(&self, fd: Fd, flags: EventFlags) -> io::Result<bool> {
        let additions = self.additions.get(&fd).copied().unwrap_or_default();
        match epoll::modify(&self.set, borrow(fd)?, EventData::new_u64(data(fd, additions)), flags)
        {
            Err(Errno::NOENT) => Ok(false),
            outcome => Ok(outcome.map(|()| true)?),
        }
    }

    /// Notes that a file that has lost its number was reported. Returns whether it is time to
    /// [`clear`](Poller::clear) the set, because a level-triggered file is reported at each look.
    pub fn is_haunted(&mut self) -> bool {
        self.sightings += 1;
        self.sightings >= PATIENCE
    }

    /// Replaces the set by an empty one under the same number. That removes the files that have
    /// lost their number: they were closed while they were watched, and a duplicate kept them in
    /// the set.
    ///
    /// # Errors
    /// If the process has no fd left; then nothing has changed.
    pub fn clear(&mut self) -> io::Result<()> {
        let empty = epoll::create(CreateFlags::CLOEXEC)?;
        self.sightings = 0;
        Ok(rustix::io::dup3(&empty, &mut self.set, DupFlags::CLOEXEC)?)
    }

    /// Hands every fd that is ready now to `report`, without blocking. Returns how many there were,
    /// and whether a file that has lost its number was among them.
    pub fn look(&mut self, mut report: impl FnMut(Fd, Interest)) -> (usize, bool) {
        self.events.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.set, spare_capacity(&mut self.events), Some(&at_once)).is_err() {
            return (0, false);
        }
        let mut is_haunted = false;
        for event in &self.events {
            let fd = event.data.u64() as Fd;
            if event.data.u64() == data(fd, self.additions.get(&fd).copied().unwrap_or_default()) {
                report(fd, readiness(event.flags));
            } else {
                is_haunted = true;
            }
        }
        (self.events.len(), is_haunted)
    }
}

fn data(fd: Fd, additions: u32) -> u64 {
    u64::from(additions) << 32 | u64::from(fd.cast_unsigned())
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.has(crate::core::Direction::Read));
    flags.set(EventFlags::OUT, interest.has(crate::core::Direction::Write));
    flags
}

/// An event that is neither "readable" nor "writable" (an error, a hang-up) counts as both, as in
/// Python's selectors.
fn readiness(flags: EventFlags) -> Interest {
    let mut ready = Interest::NONE;
    if flags.intersects(EventFlags::OUT.complement()) {
        ready = ready | Interest::READ;
    }
    if flags.intersects(EventFlags::IN.complement()) {
        ready = ready | Interest::WRITE;
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::look;

    #[test]
    fn a_hang_up_counts_as_both() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let (mut poller, fd) = (Poller::new()?, writer.as_raw_fd());
        poller.change(fd, Interest::NONE, Interest::WRITE)?;
        drop(reader);
        assert_eq!(look(&mut poller), [(fd, Interest::BOTH)]);
        Ok(())
    }

    #[test]
    fn a_file_whose_number_means_another_is_not_reported() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let (other, other_writer) = rustix::pipe::pipe()?;
        let (mut poller, fd) = (Poller::new()?, reader.as_raw_fd());
        let mut number = reader;
        poller.expect(fd, Interest::READ)?;
        let _keeps_the_file_in_the_set = rustix::io::dup(&number)?;
        rustix::io::dup2(&other, &mut number)?;
        poller.expect(fd, Interest::READ)?;
        rustix::io::write(&writer, b"x")?;
        assert_eq!(poller.look(|_, _| unreachable!("a file without a number")), (1, true));
        poller.clear()?;
        assert_eq!(poller.look(|_, _| unreachable!("an empty set")), (0, false));
        poller.change(fd, Interest::NONE, Interest::READ)?;
        rustix::io::write(&other_writer, b"x")?;
        assert_eq!(look(&mut poller), [(fd, Interest::READ)]);
        Ok(())
    }
}

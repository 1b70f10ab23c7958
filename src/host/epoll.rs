//! All file descriptors in one epoll set: however many sockets are open, the run loop polls a
//! single fd.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
#[cfg(not(miri))]
use rustix::event::{PollFd, PollFlags};
use rustix::io::{DupFlags, Errno};

use crate::core::watch::FdHasher;
use crate::core::{Fd, Interest};

/// How many events one look takes; the kernel hands out the rest next time, fairly.
const EVENTS_A_LOOK: usize = 512;

/// How often a file that no number means any more may be reported before all others are put into a
/// new set, which costs a system call for each.
const PATIENCE: u32 = 16;

/// How often this process has become another one by fork.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in the child after a fork. An epoll set is shared with the parent: what the child
/// takes out of it, the parent loses. From this call on, sets that were made before it are left
/// alone; see [`Epoll::is_inherited`].
pub fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// An epoll set.
pub struct Epoll {
    set: OwnedFd,
    /// The value of [`FORKS`] when it was made.
    born: u32,
    events: Vec<epoll::Event>,
    /// How often each number was added. A file may stay in the set though its number is closed and
    /// means another file by now: if it has a duplicate, in a forked child for example. Its events
    /// carry an older count.
    additions: HashMap<Fd, u32, BuildHasherDefault<FdHasher>>,
    /// How often a file was reported that no number means any more, since there was a new set.
    sightings: u32,
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Epoll> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        let born = FORKS.load(Ordering::Relaxed);
        Ok(Epoll {
            set,
            born,
            events: Vec::with_capacity(EVENTS_A_LOOK),
            additions: HashMap::default(),
            sightings: 0,
        })
    }

    /// Whether the set is the parent process's, and a new one is to be made before a run.
    pub fn is_inherited(&self) -> bool {
        self.born != FORKS.load(Ordering::Relaxed)
    }

    /// The fd that is readable whenever one in the set is ready: what the run loop watches.
    pub fn fd(&self) -> Fd {
        self.set.as_raw_fd()
    }

    /// Watches `fd` for its next rising edge only: for the wake fd, which then need not be drained.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_edge_triggered(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(
            &self.set,
            fd,
            EventData::new_u64(data(fd.as_raw_fd(), 0)),
            EventFlags::IN | EventFlags::ET,
        )?)
    }

    /// Watches `fd` for what is `kept`, which it is watched for, and what is `added`.
    /// Level-triggered.
    ///
    /// Whether the number still means the file that it was watched for, as far as is known. If it
    /// was closed and its number has come back, only what is `added` is watched.
    ///
    /// # Errors
    /// `EBADF` for a closed fd, `EPERM` for a regular file, as the kernel says. Ending a watch does
    /// not fail.
    pub fn change(&mut self, fd: Fd, kept: Interest, added: Interest) -> io::Result<bool> {
        if self.is_inherited() {
            return Ok(true);
        }
        let interest = kept | added;
        if interest.is_none() {
            // A closed fd has left the set by itself, unless its file has another number too.
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

    /// Watches `fd` for the next time that it becomes ready for what `interest` says, or now if it
    /// is.
    ///
    /// Edge-triggered: who waits no more may leave it in the set, to wait again by one system call,
    /// which also notices if the number means another file by now. At worst it is reported once
    /// more in vain, and can be taken out then, by [`change`](Epoll::change).
    ///
    /// # Errors
    /// As [`change`](Epoll::change).
    pub fn expect(&mut self, fd: Fd, interest: Interest) -> io::Result<()> {
        if self.is_inherited() {
            Ok(())
        } else {
            self.set(fd, flags(interest) | EventFlags::ET, true)
        }
    }

    /// Sets what `fd` is watched for; `is_known` if it seems to be in the set.
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

    /// Changes what `fd` is watched for; whether its file is in the set.
    fn modify(&self, fd: Fd, flags: EventFlags) -> io::Result<bool> {
        let additions = self.additions.get(&fd).copied().unwrap_or_default();
        match epoll::modify(&self.set, borrow(fd)?, EventData::new_u64(data(fd, additions)), flags)
        {
            Err(Errno::NOENT) => Ok(false),
            outcome => Ok(outcome.map(|()| true)?),
        }
    }

    /// A file was reported that no number means any more. Whether it is time to
    /// [`clear`](Epoll::clear) the set: what is watched level-triggered is reported at each look.
    pub fn is_haunted(&mut self) -> bool {
        self.sightings += 1;
        self.sightings >= PATIENCE
    }

    /// Replaces the set by an empty one under the same number. That gets rid of files that can be
    /// had by no number any more: closed while they were watched, and kept in the set by a
    /// duplicate.
    ///
    /// # Errors
    /// If the process has no fd left; then nothing has changed.
    pub fn clear(&mut self) -> io::Result<()> {
        let empty = epoll::create(CreateFlags::CLOEXEC)?;
        self.sightings = 0;
        Ok(rustix::io::dup3(&empty, &mut self.set, DupFlags::CLOEXEC)?)
    }

    /// Hands every fd that is ready now to `report`, without blocking. Says how many there were,
    /// and whether one of them was none that is watched.
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

/// A number that somebody wants to be watched, for one call.
fn borrow<'fd>(fd: Fd) -> io::Result<BorrowedFd<'fd>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: used for one call to the kernel, which answers EBADF for a number that names no open
    // fd.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
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

/// What is neither "readable" nor "writable" (an error, a hang-up) counts as both, as in Python's
/// selectors.
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

/// What `fds` are ready for, by poll(2): at once, or when `block` only once one is ready.
///
/// # Errors
/// As [`poll_for`].
pub fn poll(fds: &[(Fd, Interest)], block: bool) -> io::Result<Vec<(Fd, Interest)>> {
    poll_for(fds, (!block).then_some(Duration::ZERO))
}

/// What `fds` are ready for, by poll(2): once one is ready, or `patience` has passed.
///
/// # Errors
/// The kernel's; `EINTR` among them, so that the caller can look at its signals.
#[cfg(not(miri))]
pub fn poll_for(
    fds: &[(Fd, Interest)],
    patience: Option<Duration>,
) -> io::Result<Vec<(Fd, Interest)>> {
    let mut polled: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, interest)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.has(crate::core::Direction::Read));
            flags.set(PollFlags::OUT, interest.has(crate::core::Direction::Write));
            // SAFETY: the borrow ends with this call; poll(2) reports POLLNVAL for a number that
            // names no open fd.
            PollFd::from_borrowed_fd(unsafe { BorrowedFd::borrow_raw(*fd) }, flags)
        })
        .collect();
    // What no clock can count is for ever.
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    rustix::event::poll(&mut polled, patience.as_ref())?;
    let ready = fds.iter().zip(&polled).filter_map(|((fd, interest), polled)| {
        let flags = polled.revents();
        let mut ready = Interest::NONE;
        if flags.intersects(PollFlags::OUT.complement())
            && interest.has(crate::core::Direction::Read)
        {
            ready = ready | Interest::READ;
        }
        if flags.intersects(PollFlags::IN.complement())
            && interest.has(crate::core::Direction::Write)
        {
            ready = ready | Interest::WRITE;
        }
        (!ready.is_none()).then_some((*fd, ready))
    });
    Ok(ready.collect())
}

/// The same for Miri, which knows epoll but not poll(2), and only its edges: those of a set that was
/// just made are what is ready now.
#[cfg(miri)]
pub fn poll_for(
    fds: &[(Fd, Interest)],
    patience: Option<Duration>,
) -> io::Result<Vec<(Fd, Interest)>> {
    let mut set = Epoll::new()?;
    fds.iter().try_for_each(|(fd, interest)| set.expect(*fd, *interest))?;
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    epoll::wait(&set.set, spare_capacity(&mut set.events), patience.as_ref())?;
    let ready = set.events.iter().filter_map(|event| {
        let fd = event.data.u64() as Fd;
        let (_, interest) = fds.iter().find(|(wanted, _)| *wanted == fd)?;
        Some((fd, readiness(event.flags) & *interest))
    });
    Ok(ready.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(epoll: &mut Epoll) -> Vec<(Fd, Interest)> {
        let mut seen = Vec::new();
        epoll.look(|fd, ready| seen.push((fd, ready)));
        seen
    }

    #[test]
    fn reports_what_is_ready_for_as_long_as_it_is() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let mut epoll = Epoll::new()?;
        let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
        epoll.change(r, Interest::NONE, Interest::READ)?;
        assert_eq!(look(&mut epoll), []);
        rustix::io::write(&writer, b"x")?;
        assert_eq!(look(&mut epoll), [(r, Interest::READ)]);
        assert_eq!(look(&mut epoll), [(r, Interest::READ)]);
        epoll.change(r, Interest::NONE, Interest::NONE)?;
        epoll.change(w, Interest::NONE, Interest::WRITE)?;
        assert_eq!(look(&mut epoll), [(w, Interest::WRITE)]);
        drop(reader);
        let [(fd, ready)] = look(&mut epoll)[..] else { panic!("one event") };
        assert!(fd == w && ready == Interest::BOTH, "a hang-up counts as both");
        Ok(())
    }

    #[test]
    fn a_closed_fd_is_refused() -> io::Result<()> {
        let (reader, _writer) = rustix::pipe::pipe()?;
        let mut epoll = Epoll::new()?;
        let fd = reader.as_raw_fd();
        epoll.change(fd, Interest::NONE, Interest::READ)?;
        drop(reader);
        assert!(epoll.change(1_000_000_000, Interest::NONE, Interest::READ).is_err());
        assert!(epoll.change(-1, Interest::NONE, Interest::READ).is_err());
        epoll.change(fd, Interest::NONE, Interest::NONE).map(drop)
    }

    #[test]
    fn a_successor_is_watched_for_nothing_that_its_predecessor_was() -> io::Result<()> {
        let mut epoll = Epoll::new()?;
        let (mut number, _peer) = socketpair()?;
        let fd = number.as_raw_fd();
        epoll.change(fd, Interest::NONE, Interest::BOTH)?;
        let (other, _other_peer) = socketpair()?;
        rustix::io::dup2(&other, &mut number)?;
        assert!(
            !epoll.change(fd, Interest::WRITE, Interest::NONE)?,
            "one watch of the predecessor's ends"
        );
        assert_eq!(look(&mut epoll), []);
        assert!(!epoll.change(fd, Interest::WRITE, Interest::READ)?, "the successor is watched");
        assert_eq!(look(&mut epoll), [], "it could be written");
        assert!(epoll.change(fd, Interest::READ, Interest::WRITE)?);
        assert_eq!(look(&mut epoll), [(fd, Interest::WRITE)]);
        Ok(())
    }

    fn socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
        let (left, right) = std::os::unix::net::UnixStream::pair()?;
        Ok((left.into(), right.into()))
    }

    #[test]
    fn an_expected_fd_is_reported_once_each_time_it_becomes_ready() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let (mut epoll, fd) = (Epoll::new()?, reader.as_raw_fd());
        epoll.expect(fd, Interest::READ)?;
        assert_eq!(look(&mut epoll), []);
        for _ in 0..2 {
            rustix::io::write(&writer, b"x")?;
            assert_eq!(look(&mut epoll), [(fd, Interest::READ)]);
            assert_eq!(look(&mut epoll), []);
        }
        epoll.expect(fd, Interest::READ)?;
        assert_eq!(look(&mut epoll), [(fd, Interest::READ)], "it is ready now");
        epoll.change(fd, Interest::NONE, Interest::READ)?;
        assert_eq!(look(&mut epoll), [(fd, Interest::READ)]);
        assert_eq!(look(&mut epoll), [(fd, Interest::READ)], "watched, no longer only expected");
        Ok(())
    }

    #[test]
    fn a_file_whose_number_means_another_is_not_reported() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let (other, other_writer) = rustix::pipe::pipe()?;
        let (mut epoll, fd) = (Epoll::new()?, reader.as_raw_fd());
        let mut number = reader;
        epoll.expect(fd, Interest::READ)?;
        let _keeps_the_file_in_the_set = rustix::io::dup(&number)?;
        rustix::io::dup2(&other, &mut number)?;
        epoll.expect(fd, Interest::READ)?;
        rustix::io::write(&writer, b"x")?;
        assert_eq!(epoll.look(|_, _| unreachable!("a file without a number")), (1, true));
        epoll.clear()?;
        assert_eq!(epoll.look(|_, _| unreachable!("an empty set")), (0, false));
        epoll.change(fd, Interest::NONE, Interest::READ)?;
        rustix::io::write(&other_writer, b"x")?;
        assert_eq!(look(&mut epoll), [(fd, Interest::READ)]);
        Ok(())
    }
}

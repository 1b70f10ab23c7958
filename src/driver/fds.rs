//! The two ways to watch file descriptors.

use std::io;

use super::Remote;
use crate::core::{Direction, Fd, Interest, Watches};
use crate::sys::{self, Poller};

/// How file descriptors are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All in one set of the system, whose fd is the only one that the host watches: epoll on
    /// Linux, kqueue on macOS and the BSDs.
    Set,
    /// Each fd and direction by a watch of the host. Portable.
    Notifier,
}

impl Default for Strategy {
    /// One set, if the system has such a thing.
    fn default() -> Strategy {
        if Poller::NAME.is_empty() { Strategy::Notifier } else { Strategy::Set }
    }
}

/// The fds behind a loop, watched in one of the two ways.
pub enum Fds {
    Set(Poller),
    Notifier(Notifier),
}

impl Default for Fds {
    /// Watches none and holds none.
    fn default() -> Fds {
        Fds::Notifier(Notifier::default())
    }
}

/// What the host reported since the last look.
///
/// The host reports one fd at a time. It is level-triggered: it reports an fd again and again until
/// the fd's item has run. The fd is noted here until the next look, so that an item is not queued
/// twice.
#[derive(Default)]
pub struct Notifier {
    noted: Vec<(Fd, Interest)>,
    /// What the last look found. Until that batch has run, the host reports it again, though it is
    /// queued already.
    looked: Vec<(Fd, Interest)>,
    /// Whether the host watches for us: between `start` and `stop`.
    started: bool,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Whether the host is to be told.
    pub is_hosts_task: bool,
    /// Whether the number still means the file that it was watched for, as far as is known.
    pub is_same_file: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// Whether something was ready.
    pub any: bool,
    /// Whether a wake was there. It is spent now, and will not end the host's next wait.
    pub wake: bool,
    /// Whether a file was reported that no number means any more. It will be reported again and
    /// again: see [`Fds::renew`].
    pub ghost: bool,
}

impl Notifier {
    fn note(&mut self, fd: Fd, readiness: Interest) {
        let queued = self
            .looked
            .iter()
            .find(|(looked, _)| *looked == fd)
            .map_or(Interest::NONE, |(_, found)| *found);
        let fresh = readiness.minus(queued);
        match self.noted.iter_mut().find(|(noted, _)| *noted == fd) {
            Some((_, interest)) => *interest = *interest | fresh,
            None => self.noted.push((fd, fresh)),
        }
    }

    /// Forgets what was noted beyond `interest`: it is not for the next watch of this number.
    fn forget(&mut self, fd: Fd, interest: Interest) {
        let of_fd = self.noted.iter_mut().filter(|(noted, _)| *noted == fd);
        of_fd.for_each(|(_, readiness)| *readiness = *readiness & interest);
    }
}

impl Fds {
    pub fn new<T>(strategy: Strategy, remote: &Remote<T>) -> io::Result<Fds> {
        match strategy {
            Strategy::Notifier => Ok(Fds::default()),
            Strategy::Set => set_with_wake_fd(remote).map(Fds::Set),
        }
    }

    /// Returns what a host that has started is to watch.
    pub fn start<T>(
        &mut self,
        remote: &Remote<T>,
        watches: &Watches<T>,
    ) -> io::Result<Vec<(Fd, Interest)>> {
        match self {
            Fds::Set(set) => {
                if set.is_inherited() {
                    *set = set_with_wake_fd(remote)?;
                    add_all(set, watches);
                }
                Ok(vec![(set.fd(), Interest::READ)])
            }
            Fds::Notifier(notifier) => {
                notifier.started = true;
                Ok(watches.iter().chain([(remote.wake_fd().fd(), Interest::READ)]).collect())
            }
        }
    }

    /// A file was reported that no number means any more, and that nobody can take out of the set.
    /// If that happens again and again, everything that is watched is put into a new set.
    pub fn renew<T>(&mut self, remote: &Remote<T>, watches: &Watches<T>) -> io::Result<()> {
        if let Fds::Set(set) = self
            && set.is_haunted()
        {
            set.clear()?;
            remote.wake_fd().with_fd(|fd| set.add_wake_fd(fd)).transpose()?;
            add_all(set, watches);
        }
        Ok(())
    }

    /// The host has stopped, and watches nothing any more.
    pub fn stop(&mut self) {
        if let Fds::Notifier(notifier) = self {
            *notifier = Notifier::default();
        }
    }

    /// Watches `fd` for what is `kept` and what is `added`.
    pub fn change(&mut self, fd: Fd, kept: Interest, added: Interest) -> io::Result<Changed> {
        match self {
            Fds::Set(set) => set
                .change(fd, kept, added)
                .map(|is_same_file| Changed { is_hosts_task: false, is_same_file }),
            Fds::Notifier(notifier) => {
                if !added.is_none() {
                    // The watch of a run loop does not say whether the number means the same file.
                    sys::is_open(fd)?;
                }
                notifier.forget(fd, kept | added);
                Ok(Changed { is_hosts_task: notifier.started, is_same_file: true })
            }
        }
    }

    /// As `change`, for something that waits once until `fd` is ready for `direction`, while nobody
    /// else watches the fd.
    pub fn expect(&mut self, fd: Fd, direction: Direction) -> io::Result<bool> {
        match self {
            Fds::Set(set) => set.expect(fd, direction.into()).map(|()| false),
            Fds::Notifier(_) => self
                .change(fd, Interest::NONE, direction.into())
                .map(|changed| changed.is_hosts_task),
        }
    }

    /// Whether an fd may stay in the set when nobody waits for it any more, because it is likely to
    /// be expected again soon. If it becomes ready meanwhile, a look reports it once.
    ///
    /// **Gain**: one system call for each wait of a `sock_*` operation instead of two, 0.4 µs
    /// instead of 1.7 µs (the least of many `epoll_ctl`). That is a tenth of the time that
    /// `tcp-sock-10x1K` takes for a round trip. It is safe because what lingers is watched for an
    /// edge: it is reported once, is taken out then ([`Driver`](super::Driver) does that), and the
    /// next wait notices if the number means another file.
    pub fn may_linger(&self) -> bool {
        matches!(self, Fds::Set(_))
    }

    /// What the host is to watch `fd` for, now that it has reported it once.
    pub fn interest<T>(&self, fd: Fd, remote: &Remote<T>, watches: &Watches<T>) -> Interest {
        match self {
            Fds::Set(set) if fd == set.fd() => Interest::READ,
            Fds::Notifier(_) if fd == remote.wake_fd().fd() => Interest::READ,
            Fds::Set(_) => Interest::NONE,
            Fds::Notifier(_) => watches.interest(fd),
        }
    }

    /// The host reported `fd`, between two batches or in the middle of one.
    pub fn note<T>(
        &mut self,
        fd: Fd,
        readiness: Interest,
        batch_is_done: bool,
        remote: &Remote<T>,
    ) {
        if let Fds::Notifier(notifier) = self {
            if fd == remote.wake_fd().fd() {
                remote.wake_fd().drain();
                return;
            }
            if batch_is_done {
                notifier.looked.clear();
            }
            notifier.note(fd, readiness);
        }
    }

    /// Hands every fd that is ready to `report`, without blocking.
    pub fn look<T>(&mut self, remote: &Remote<T>, mut report: impl FnMut(Fd, Interest)) -> Found {
        match self {
            Fds::Set(set) => {
                let wake_fd = remote.wake_fd().fd();
                let mut wake = false;
                let (count, ghost) =
                    set.look(
                        |fd, readiness| {
                            if fd == wake_fd { wake = true } else { report(fd, readiness) }
                        },
                    );
                Found { any: count > 0, wake, ghost }
            }
            Fds::Notifier(notifier) => {
                notifier.looked = std::mem::take(&mut notifier.noted);
                notifier.looked.iter().for_each(|(fd, readiness)| report(*fd, *readiness));
                Found { any: !notifier.looked.is_empty(), wake: false, ghost: false }
            }
        }
    }
}

fn add_all<T>(set: &mut Poller, watches: &Watches<T>) {
    for (fd, interest) in watches.iter() {
        // An fd that was closed has lost its watch.
        let _closed = set.change(fd, Interest::NONE, interest);
    }
}

fn set_with_wake_fd<T>(remote: &Remote<T>) -> io::Result<Poller> {
    let mut set = Poller::new()?;
    remote.wake_fd().with_fd(|fd| set.add_wake_fd(fd)).transpose()?;
    Ok(set)
}

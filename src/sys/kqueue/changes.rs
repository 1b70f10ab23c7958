//! Changes to the watches of one fd, made by one system call.

use std::io;
use std::ptr;

use rustix::io::Errno;

use super::queue::{Event, EventFilter, EventFlags, Kqueue};
use crate::core::{Direction, Fd};

/// Both directions are removed, and both are added.
const MOST: usize = 4;

/// The purpose of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Add,
    Ask,
    Remove,
    /// Removes a watch before a new one is added. An existing watch would keep its kind.
    Replace,
}

/// The changes, and the receipt of each. The memory is reused.
pub struct Changes {
    fd: Fd,
    events: Vec<Event>,
    purposes: Vec<Purpose>,
    receipts: Vec<Event>,
}

/// The outcome of the changes.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether every watch that was asked for existed.
    pub is_there: bool,
    /// Whether a watch existed that is removed now.
    pub has_removed: bool,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes {
            fd: -1,
            events: Vec::with_capacity(MOST),
            purposes: Vec::with_capacity(MOST),
            receipts: Vec::with_capacity(MOST),
        }
    }
}

impl Changes {
    /// Begins an empty list of changes to `fd`.
    pub fn begin(&mut self, fd: Fd) {
        self.fd = fd;
        self.events.clear();
        self.purposes.clear();
    }

    /// Adds a change: the fd is to be watched for this direction, with these flags.
    pub fn replace(&mut self, direction: Direction, flags: EventFlags) {
        self.push(direction, EventFlags::DELETE, Purpose::Replace);
        self.push(direction, EventFlags::ADD | flags, Purpose::Add);
    }

    /// Adds a question: whether the fd is watched for this direction.
    pub fn ask(&mut self, direction: Direction) {
        // A watch that is enabled stays as it is. A watch that does not exist is not added.
        self.push(direction, EventFlags::ENABLE, Purpose::Ask);
    }

    /// Adds a change: the fd is not to be watched for this direction.
    pub fn remove(&mut self, direction: Direction) {
        self.push(direction, EventFlags::DELETE, Purpose::Remove);
    }

    fn push(&mut self, direction: Direction, flags: EventFlags, purpose: Purpose) {
        let filter = match direction {
            Direction::Read => EventFilter::Read(self.fd),
            Direction::Write => EventFilter::Write(self.fd),
        };
        self.events.push(Event::new(filter, flags | EventFlags::RECEIPT, ptr::null_mut()));
        self.purposes.push(purpose);
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// The first error of a watch that could not be added.
    pub fn make(&mut self, queue: &Kqueue) -> io::Result<Outcome> {
        let mut outcome = Outcome { is_there: true, has_removed: false };
        if self.fd < 0 {
            let adds = self.purposes.contains(&Purpose::Add);
            return if adds { Err(Errno::BADF.into()) } else { Ok(outcome.of_nothing()) };
        }
        // SAFETY: the kernel answers EBADF for a number that names no open fd; a watch ends by
        // itself when its number is closed.
        unsafe { queue.change(&self.events, &mut self.receipts) }?;
        debug_assert_eq!(self.receipts.len(), self.purposes.len(), "each change has a receipt");
        for (receipt, purpose) in self.receipts.iter().zip(&self.purposes) {
            let error = (receipt.data() != 0).then(|| errno(receipt));
            match (purpose, error) {
                (Purpose::Add, Some(error)) => return Err(error.into()),
                (Purpose::Ask, Some(_)) => outcome.is_there = false,
                (Purpose::Remove, None) => outcome.has_removed = true,
                _ => {}
            }
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// The outcome for an fd with an impossible number.
    fn of_nothing(self) -> Outcome {
        Outcome { is_there: false, has_removed: false }
    }
}

/// The error that a receipt reports.
pub fn errno(receipt: &Event) -> Errno {
    i32::try_from(receipt.data()).map_or(Errno::INVAL, Errno::from_raw_os_error)
}

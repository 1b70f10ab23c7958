//! Who wants to hear about which file descriptor.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{BitAnd, BitOr};

/// A file descriptor's number, as the operating system counts them.
pub type Fd = i32;

/// One of the two things a file descriptor can be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// There is something to read, or the end of the stream, or an error.
    Read,
    /// There is room to write, or an error.
    Write,
}

impl Direction {
    /// The other one.
    pub fn other(self) -> Direction {
        match self {
            Direction::Read => Direction::Write,
            Direction::Write => Direction::Read,
        }
    }
}

/// A set of [`Direction`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest(u8);

impl Interest {
    /// Neither direction.
    pub const NONE: Interest = Interest(0);
    /// Reading only.
    pub const READ: Interest = Interest(1);
    /// Writing only.
    pub const WRITE: Interest = Interest(2);
    /// Both directions.
    pub const BOTH: Interest = Interest(3);

    /// Whether `direction` is in the set.
    pub fn has(self, direction: Direction) -> bool {
        self.0 & Interest::from(direction).0 != 0
    }

    /// Whether the set is empty.
    pub fn is_none(self) -> bool {
        self == Interest::NONE
    }

    /// The set as a number: 1 for reading plus 2 for writing.
    pub fn to_abi(self) -> u32 {
        u32::from(self.0)
    }

    /// The set behind such a number; other bits are ignored.
    pub fn from_abi(bits: u32) -> Interest {
        Interest(bits as u8 & 3)
    }

    /// The set without `direction`.
    pub fn without(self, direction: Direction) -> Interest {
        self.minus(direction.into())
    }

    /// The set without what is in `other`.
    pub fn minus(self, other: Interest) -> Interest {
        Interest(self.0 & !other.0)
    }
}

impl From<Direction> for Interest {
    fn from(direction: Direction) -> Interest {
        match direction {
            Direction::Read => Interest::READ,
            Direction::Write => Interest::WRITE,
        }
    }
}

impl BitOr for Interest {
    type Output = Interest;
    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl BitAnd for Interest {
    type Output = Interest;
    fn bitand(self, other: Interest) -> Interest {
        Interest(self.0 & other.0)
    }
}

/// Spreads small integers over the hash table; a keyed hash would defend against nothing here.
#[derive(Default)]
pub struct FdHasher(u64);

impl Hasher for FdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i32(i32::from(*byte));
        }
    }
    fn write_i32(&mut self, fd: i32) {
        self.0 = (self.0 ^ fd as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct Watch<T> {
    reader: Option<T>,
    writer: Option<T>,
}

impl<T> Watch<T> {
    fn side(&mut self, direction: Direction) -> &mut Option<T> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    fn interest(&self) -> Interest {
        let read = if self.reader.is_some() { Interest::READ } else { Interest::NONE };
        let write = if self.writer.is_some() { Interest::WRITE } else { Interest::NONE };
        read | write
    }
}

/// The table of watched file descriptors: at most one reader and one writer each.
#[derive(Debug)]
pub struct Watches<T> {
    by_fd: HashMap<Fd, Watch<T>, BuildHasherDefault<FdHasher>>,
}

impl<T> Default for Watches<T> {
    fn default() -> Self {
        Watches { by_fd: HashMap::default() }
    }
}

impl<T> Watches<T> {
    /// Puts `item` in the fd's `direction` and returns what stood there.
    pub fn insert(&mut self, fd: Fd, direction: Direction, item: T) -> Option<T> {
        self.by_fd
            .entry(fd)
            .or_insert(Watch { reader: None, writer: None })
            .side(direction)
            .replace(item)
    }

    /// Empties the fd's `direction` and returns what stood there.
    pub fn remove(&mut self, fd: Fd, direction: Direction) -> Option<T> {
        let watch = self.by_fd.get_mut(&fd)?;
        let removed = watch.side(direction).take();
        if watch.interest().is_none() {
            self.by_fd.remove(&fd);
        }
        removed
    }

    /// Who watches the fd's `direction`.
    pub fn get(&self, fd: Fd, direction: Direction) -> Option<&T> {
        let watch = self.by_fd.get(&fd)?;
        match direction {
            Direction::Read => watch.reader.as_ref(),
            Direction::Write => watch.writer.as_ref(),
        }
    }

    /// What the fd is watched for.
    pub fn interest(&self, fd: Fd) -> Interest {
        self.by_fd.get(&fd).map_or(Interest::NONE, Watch::interest)
    }

    /// Every watched fd with what it is watched for.
    pub fn iter(&self) -> impl Iterator<Item = (Fd, Interest)> {
        self.by_fd.iter().map(|(fd, watch)| (*fd, watch.interest()))
    }

    /// The payloads, in no particular order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.by_fd.values().flat_map(|watch| watch.reader.iter().chain(watch.writer.iter()))
    }

    /// How many fds are watched.
    pub fn len(&self) -> usize {
        self.by_fd.len()
    }

    /// Whether no fd is watched.
    pub fn is_empty(&self) -> bool {
        self.by_fd.is_empty()
    }

    /// Takes every payload out, for the caller to drop where dropping is safe.
    pub fn take_all(&mut self) -> Vec<T> {
        let by_fd = std::mem::take(&mut self.by_fd);
        by_fd.into_values().flat_map(|watch| watch.reader.into_iter().chain(watch.writer)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_independent() {
        let mut watches = Watches::default();
        assert_eq!(watches.insert(3, Direction::Read, "r"), None);
        assert_eq!(watches.insert(3, Direction::Write, "w"), None);
        assert_eq!(watches.interest(3), Interest::BOTH);
        assert_eq!(watches.insert(3, Direction::Read, "r2"), Some("r"));
        assert_eq!(watches.remove(3, Direction::Write), Some("w"));
        assert_eq!(watches.interest(3), Interest::READ);
        assert_eq!(watches.get(3, Direction::Read), Some(&"r2"));
        assert_eq!(watches.remove(3, Direction::Write), None);
        assert_eq!(watches.remove(3, Direction::Read), Some("r2"));
        assert!(watches.is_empty());
    }
}

//! When a protocol is to stop writing, and when it may go on.

/// What a protocol is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `pause_writing()`.
    Pause,
    /// `resume_writing()`.
    Resume,
}

/// The limits of a write buffer, in bytes, and whether the protocol has been told to pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    low: usize,
    high: usize,
    paused: bool,
}

impl Default for Watermarks {
    /// asyncio's: 16 and 64 KiB.
    fn default() -> Self {
        Watermarks { low: 16 * 1024, high: 64 * 1024, paused: false }
    }
}

impl Watermarks {
    /// At how few bytes the protocol may go on, and above how many it is to pause.
    pub fn limits(&self) -> (usize, usize) {
        (self.low, self.high)
    }

    /// Sets both limits; `low` is not above `high`.
    pub fn set_limits(&mut self, low: usize, high: usize) {
        debug_assert!(low <= high);
        (self.low, self.high) = (low, high);
    }

    /// Whether the protocol was told to pause, and not yet to go on.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// There are `len` bytes now, perhaps more than before.
    pub fn grown(&mut self, len: usize) -> Option<Change> {
        (!self.paused && len > self.high).then(|| {
            self.paused = true;
            Change::Pause
        })
    }

    /// There are `len` bytes now, perhaps fewer than before.
    pub fn shrunk(&mut self, len: usize) -> Option<Change> {
        (self.paused && len <= self.low).then(|| {
            self.paused = false;
            Change::Resume
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_told_once_each_way() {
        let mut marks = Watermarks::default();
        marks.set_limits(2, 4);
        assert_eq!(marks.grown(4), None);
        assert_eq!(marks.shrunk(0), None, "it was not paused");
        assert_eq!(marks.grown(5), Some(Change::Pause));
        assert_eq!(marks.grown(6), None);
        assert_eq!(marks.shrunk(3), None);
        assert_eq!(marks.shrunk(2), Some(Change::Resume));
        assert_eq!(marks.shrunk(0), None);
        assert!(!marks.is_paused());
    }
}

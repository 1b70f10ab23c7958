//! How often a busy turn reads the clock and looks at the file descriptors.

use std::cell::Cell;
use std::time::Duration;

use crate::core::Time;

/// Looks in vain after which a busy turn looks less often. A coroutine that yields a few times to
/// let I/O happen gets a look each time, as it would from asyncio.
const PATIENCE: u32 = 64;

/// The time between two looks then.
const GAP: Duration = Duration::from_micros(50);

/// The most batches between two looks: a simulated clock may stand still.
const MAX_SKIPPED: u32 = 256;

/// The most items that run between two readings of the clock. When slow ones follow upon quick
/// ones, the host waits for that many: the price of fewer readings.
const MAX_STRIDE: u32 = 4;

/// The same among items so quick that a reading costs as much as some of them: tasks of Rust's that
/// do next to nothing.
const MAX_QUICK_STRIDE: u32 = 16;

/// Such an item takes this part of the slice at most.
const QUICK: u32 = 2048;

/// The pace of a busy loop. Both a look and a clock reading cost as much as a small callback, so a
/// loop that has always something ready must not pay for them every time. Each field by itself, as
/// nested turns share them.
#[derive(Debug)]
pub struct Pace {
    looks_in_vain: Cell<u32>,
    next_look: Cell<Time>,
    skipped: Cell<u32>,
    stride: Cell<u32>,
    until_clock: Cell<u32>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            looks_in_vain: Cell::new(0),
            next_look: Cell::new(Time::ZERO),
            skipped: Cell::new(0),
            stride: Cell::new(1),
            until_clock: Cell::new(1),
        }
    }
}

impl Pace {
    /// Whether to look at the fds before the next batch.
    pub fn is_due(&self, now: Time) -> bool {
        self.skipped.update(|skipped| skipped + 1);
        self.looks_in_vain.get() < PATIENCE
            || now >= self.next_look.get()
            || self.skipped.get() > MAX_SKIPPED
    }

    /// A look was taken.
    pub fn record(&self, found: bool, now: Time) {
        self.looks_in_vain.update(|in_vain| if found { 0 } else { in_vain.saturating_add(1) });
        self.next_look.set(now.after(GAP));
        self.skipped.set(0);
    }

    /// Whether to read the clock after the item that has just run.
    pub fn clock_is_due(&self) -> bool {
        self.until_clock.update(|until| until.saturating_sub(1));
        self.until_clock.get() == 0
    }

    /// The clock was read, and the items since the last reading took `elapsed`. Twice as many may
    /// run before the next one if they are so quick that this can't exceed an eighth of the slice.
    pub fn clock_was_read(&self, elapsed: Duration, slice: Duration) {
        let are_quick = elapsed * QUICK <= slice * self.stride.get();
        let most = if are_quick { MAX_QUICK_STRIDE } else { MAX_STRIDE };
        self.stride.update(|stride| if elapsed * 16 <= slice { (stride * 2).min(most) } else { 1 });
        self.until_clock.set(self.stride.get());
    }

    /// The turn has run out of work: the next one starts afresh.
    pub fn reset(&self) {
        self.looks_in_vain.set(0);
        self.next_look.set(Time::ZERO);
        self.skipped.set(0);
        self.stride.set(1);
        self.until_clock.set(1);
    }
}

/// Last looks in vain after which most turns end without one.
const LESSON: u32 = 4;

/// Turns of which one takes a last look all the same, to learn whether that has become worth it.
const TRIAL: u32 = 16;

/// Whether to look at the fds once more when a turn has run out of work. With many busy fds that
/// finds some, and spares a turn; with one whose peer has to answer first it is a system call in
/// vain. What is not looked for, the host reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastLook {
    in_vain: u32,
    skipped: u32,
}

impl LastLook {
    /// Whether to take it.
    pub fn is_promising(&mut self) -> bool {
        self.skipped =
            if self.in_vain < LESSON || self.skipped + 1 >= TRIAL { 0 } else { self.skipped + 1 };
        self.skipped == 0
    }

    /// It was taken.
    pub fn record(&mut self, found: bool) {
        self.in_vain = if found { 0 } else { self.in_vain.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_look_that_is_always_in_vain_becomes_rare() {
        let mut last = LastLook::default();
        let mut taken = 0;
        for _ in 0..1_000 {
            if last.is_promising() {
                taken += 1;
                last.record(false);
            }
        }
        assert!((1_000 / TRIAL..1_000 / TRIAL + LESSON + 2).contains(&taken), "{taken}");
        while !last.is_promising() {}
        last.record(true);
        assert!(last.is_promising());
    }

    #[test]
    fn looks_each_time_until_patience_is_lost() {
        let pace = Pace::default();
        let start = Time::from_nanos(1_000);
        for _ in 0..PATIENCE {
            assert!(pace.is_due(start));
            pace.record(false, start);
        }
        assert!(!pace.is_due(start));
        assert!(pace.is_due(start.after(GAP)));
        assert!((0..=MAX_SKIPPED).any(|_| pace.is_due(start)), "though the clock stands still");
        pace.record(true, start);
        assert!(pace.is_due(start));
    }

    #[test]
    fn slow_items_are_timed_one_by_one() {
        let slice = Duration::from_micros(500);
        let pace = Pace::default();
        for (elapsed, stride) in
            [(10_000, MAX_STRIDE), (400, MAX_QUICK_STRIDE), (10_000, MAX_STRIDE)]
        {
            for _ in 0..8 {
                pace.clock_was_read(Duration::from_nanos(elapsed), slice);
            }
            assert_eq!((0..stride).position(|_| pace.clock_is_due()), Some(stride as usize - 1));
        }
        pace.clock_was_read(Duration::from_millis(1), slice);
        assert!(pace.clock_is_due());
    }
}

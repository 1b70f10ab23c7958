//! How often a busy turn reads the clock and looks at the file descriptors.
//!
//! # What it gains
//!
//! Looks and readings of the clock were counted on the rows of `make bench` (CPython 3.13). Their
//! cost is the least of many: 160 ns for an `epoll_wait` that finds nothing, 28 ns for a reading.
//!
//! * *Looks.* With a look after each batch there is 1 for each step of `sleep0` and of
//!   `call-soon-chain`, and 2 for each task of `task-create`. With this pace there are 0.02, 0.01
//!   and 0.11. That saves at least 27 %, 37 % and 15 % of the time. Half the [`GAP`] doubles the
//!   few looks, which costs 1 %; twice the gap saves half a percent. Half or twice the
//!   [`PATIENCE`] changes nothing: its size matters only to programs that yield a few times.
//! * *The clock.* A reading after each item would be 0.75 readings more: 7 % of
//!   `call-soon-chain`. Half of [`MAX_STRIDE`] costs 3 %; twice as much saves 1 %, but the host
//!   may have to wait for eight items instead of four. [`MAX_QUICK_STRIDE`] matters only to Rust
//!   tasks: no Python callback is as quick as [`QUICK`] demands. Each step of a thousand tasks
//!   that yield takes 38 ns; without the quick stride 45 ns; with half of it 40 ns, with twice as
//!   much 37 ns; and 71 ns if the clock is read each time. Twice of `QUICK` changes
//!   nothing. Half of it lets in the quickest Python callbacks, those of `call-soon-threadsafe`:
//!   0.13 readings for each instead of 0.25, which saves 1 %, but the host may have to wait for
//!   sixteen of them.
//!
//! It is safe because it only puts off what is looked at: a look is at most [`GAP`] late, and the
//! slice is overrun by at most [`MAX_STRIDE`] items, or by quick ones that take less than a
//! hundredth of it.

use std::cell::Cell;
use std::time::Duration;

use crate::core::Time;

/// A busy turn looks less often after this many looks that have found nothing. Before, a coroutine
/// that yields a few times to let I/O happen gets a look each time, as from asyncio.
const PATIENCE: u32 = 64;

/// The time between two looks then.
const GAP: Duration = Duration::from_micros(50);

/// The most batches between two looks: a simulated clock may stand still.
const MAX_SKIPPED: u32 = 256;

/// The most items that run between two readings of the clock. When slow items follow upon quick
/// ones, the host waits for that many of them: the price of fewer readings.
const MAX_STRIDE: u32 = 4;

/// The same for items so quick that a reading costs as much as some of them: Rust tasks that do
/// next to nothing.
const MAX_QUICK_STRIDE: u32 = 16;

/// Such an item takes at most this part of the slice.
const QUICK: u32 = 2048;

/// The pace of a busy loop. A look costs as much as a small callback, and a reading of the clock a
/// part of that. So a loop that always has something ready must not pay for them every time. Each
/// field is a cell of its own, because nested turns share them.
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

    /// The clock was read, and the items since the last reading took `elapsed`. If twice as many
    /// items would take at most an eighth of the slice, that many may run before the next reading.
    pub fn clock_was_read(&self, elapsed: Duration, slice: Duration) {
        let are_quick = elapsed * QUICK <= slice * self.stride.get();
        let most = if are_quick { MAX_QUICK_STRIDE } else { MAX_STRIDE };
        self.stride.update(|stride| if elapsed * 16 <= slice { (stride * 2).min(most) } else { 1 });
        self.until_clock.set(self.stride.get());
    }

    /// The turn has run out of work. The next one starts anew.
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
/// finds some, and spares a turn. With one whose peer has to answer first it is a system call in
/// vain. What is not looked for, the host reports.
///
/// **Gain**: with a look at the end of each turn, a round trip on one connection takes 5 % more
/// time. With no such look, a round trip takes 3 % more where 500 connections are busy.
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

//! Timers ordered by deadline, then by the order in which they were made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Time;

/// Names a timer for [`Timers::cancel`]. A key of a timer that has fired or was cancelled names
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TimerKey {
    slot: u32,
    seq: u64,
}

impl TimerKey {
    /// A key that names nothing.
    pub const NONE: TimerKey = TimerKey { slot: u32::MAX, seq: u64::MAX };
}

/// A heap entry: small, and without the payload, so that sifting moves 24 bytes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: Time,
    seq: u64,
    slot: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// The timer that has the slot; an entry or key with another number is dead.
    seq: u64,
    item: Option<T>,
}

/// Dead entries that are always tolerated, so that a small heap is not rebuilt again and again.
const MIN_DEAD: usize = 64;

/// Room for so many timers is kept when none is left.
const MANY: usize = 4096;

/// A timer heap. Cancelling gives the payload back at once and leaves a dead entry behind; dead
/// entries are swept when they outnumber the living, so memory stays in proportion to the timers
/// that can still fire.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    next_seq: u64,
    dead: usize,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_seq: 0,
            dead: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Adds a timer that is due at `deadline`.
    pub fn insert(&mut self, deadline: Time, item: T) -> TimerKey {
        let seq = self.next_seq;
        self.next_seq += 1;
        let filled = Slot { seq, item: Some(item) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                (self.slots.len() - 1) as u32
            }
        };
        self.heap.push(Reverse(Entry { deadline, seq, slot }));
        TimerKey { slot, seq }
    }

    /// Removes the timer and gives its payload back; `None` if it has fired or was cancelled
    /// before.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let item = self.take(key.slot, key.seq)?;
        self.dead += 1;
        if self.is_empty() {
            self.reset()
        } else {
            self.sweep()
        }
        Some(item)
    }

    /// The earliest deadline.
    pub fn next_deadline(&mut self) -> Option<Time> {
        self.drop_dead_top();
        self.heap.peek().map(|Reverse(entry)| entry.deadline)
    }

    /// Removes and returns the earliest timer, with its deadline, if it is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, T)> {
        self.drop_dead_top();
        if self.heap.peek().is_none_or(|Reverse(entry)| entry.deadline > now) {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.take(entry.slot, entry.seq).map(|item| (entry.deadline, item))
    }

    /// How many timers can still fire.
    pub fn len(&self) -> usize {
        self.heap.len() - self.dead
    }

    /// Whether no timer can still fire.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes every payload out, in no particular order, for the caller to drop where dropping is
    /// safe.
    pub fn take_all(&mut self) -> Vec<T> {
        let slots = std::mem::take(&mut self.slots);
        self.reset();
        slots.into_iter().filter_map(|slot| slot.item).collect()
    }

    /// The payloads of the timers that can still fire, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.item.as_ref())
    }

    fn take(&mut self, slot: u32, seq: u64) -> Option<T> {
        let filled = self.slots.get_mut(slot as usize).filter(|filled| filled.seq == seq)?;
        let item = filled.item.take()?;
        self.free.push(slot);
        Some(item)
    }

    fn is_alive(slots: &[Slot<T>], entry: &Entry) -> bool {
        let slot = &slots[entry.slot as usize];
        slot.seq == entry.seq && slot.item.is_some()
    }

    fn drop_dead_top(&mut self) {
        if self.dead == 0 {
            return;
        }
        while let Some(Reverse(entry)) = self.heap.peek() {
            if Self::is_alive(&self.slots, entry) {
                return;
            }
            self.heap.pop();
            self.dead -= 1;
        }
    }

    /// Nothing is left alive: forgets the dead, and gives back what a burst of timers had needed.
    /// Numbers are not used again, so old keys stay dead.
    fn reset(&mut self) {
        self.heap.clear();
        self.slots.clear();
        self.free.clear();
        self.dead = 0;
        if self.slots.capacity() > MANY {
            *self = Timers { next_seq: self.next_seq, ..Timers::default() };
        }
    }

    fn sweep(&mut self) {
        if self.dead <= MIN_DEAD || self.dead * 2 <= self.heap.len() {
            return;
        }
        let slots = &self.slots;
        self.heap.retain(|Reverse(entry)| Self::is_alive(slots, entry));
        self.heap.shrink_to(self.heap.len() * 4);
        self.dead = 0;
    }

    #[cfg(test)]
    pub(crate) fn footprint(&self) -> usize {
        self.heap.len().max(self.slots.len()).max(self.free.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn fires_by_deadline_then_by_sequence() {
        let mut timers = Timers::default();
        timers.insert(at(5), "second");
        timers.insert(at(3), "first");
        timers.insert(at(5), "third");
        assert_eq!(timers.next_deadline(), Some(at(3)));
        assert_eq!(timers.pop_due(at(2)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(5))).collect();
        assert_eq!(due, [(at(3), "first"), (at(5), "second"), (at(5), "third")]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_stale_key_cancels_nothing() {
        let mut timers = Timers::default();
        let key = timers.insert(at(1), 'a');
        assert_eq!(timers.cancel(key), Some('a'));
        timers.insert(at(1), 'b');
        assert_eq!(timers.cancel(key), None);
        assert_eq!(timers.pop_due(at(1)), Some((at(1), 'b')));
    }

    #[test]
    fn a_million_cancelled_timers_leave_nothing_behind() {
        const MANY: usize = if cfg!(miri) { 200 } else { 1_000_000 };
        let mut timers = Timers::default();
        for n in 0..MANY {
            let key = timers.insert(at(3_600_000_000_000), n);
            assert_eq!(timers.cancel(key), Some(n));
            assert!(timers.footprint() <= 2 * MIN_DEAD + 2);
        }
        assert!(timers.is_empty());
    }

    #[test]
    fn taking_all_keeps_old_keys_dead() {
        let mut timers = Timers::default();
        let key = timers.insert(at(1), 'a');
        assert_eq!(timers.take_all(), ['a']);
        timers.insert(at(1), 'b');
        assert_eq!(timers.cancel(key), None);
        assert_eq!(timers.iter().count(), 1);
    }
}

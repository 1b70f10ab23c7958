//! The signs of life that a run loop gives, and the stretches of time between them: what debug
//! mode's watchdog goes by.

use std::ffi::{CStr, c_void};
use std::time::Duration;

use crate::core::Time;

/// What becomes known about a thread's run loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It hands something out.
    Busy,
    /// It has come round.
    Turned,
    /// It goes to sleep.
    Asleep,
}

impl Sign {
    /// The sign behind its number.
    pub fn from_abi(sign: u32) -> Option<Sign> {
        [Sign::Busy, Sign::Turned, Sign::Asleep].get(sign as usize).copied()
    }
}

/// The name of a capsule with a [`SignTable`], which carries the table's version.
pub const CAPSULE: &CStr = c"qtloop.SignTable.1";

/// Called for each sign: 0 busy, 1 turned, 2 asleep.
pub type Tell = unsafe extern "C" fn(context: *mut c_void, sign: u32);

/// Signs from another module, as [`HostTable`](super::table::HostTable) is a host from there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SignTable {
    /// Begins to tell `context` about the calling thread's run loop; null if it has none.
    pub start: unsafe extern "C" fn(context: *mut c_void, tell: Tell) -> *mut c_void,
    /// Ends that, on the same thread.
    pub stop: unsafe extern "C" fn(session: *mut c_void),
}

/// A time in which a run loop neither turned nor slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Counts from 1.
    pub number: u64,
    /// How long it was, or is so far.
    pub length: Duration,
}

/// What an observer is to be told after a sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// A long stretch is over.
    pub ended: Option<Stretch>,
    /// The stretch that was waited for has begun.
    pub has_begun: bool,
}

/// The stretches of one thread's run loop.
#[derive(Debug)]
pub struct Stretches {
    number: u64,
    /// When the one under way began; `None` while the run loop sleeps.
    since: Option<Time>,
    limit: Duration,
    is_awaited: bool,
}

impl Default for Stretches {
    /// The run loop sleeps; nobody waits for a stretch, and none is long.
    fn default() -> Stretches {
        Stretches { number: 0, since: None, limit: Duration::MAX, is_awaited: false }
    }
}

impl Stretches {
    /// How many have begun.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A sign came at `now`.
    pub fn take(&mut self, sign: Sign, now: Time) -> News {
        if sign == Sign::Busy && self.since.is_some() {
            return News::default();
        }
        let ended = self.under_way(now).filter(|stretch| stretch.length >= self.limit);
        if sign == Sign::Asleep {
            self.since = None;
            return News { ended, has_begun: false };
        }
        self.number += 1;
        self.since = Some(now);
        News { ended, has_begun: std::mem::take(&mut self.is_awaited) }
    }

    /// The stretch under way. If there is none the beginning of the next will be news. From now on
    /// what lasts for `limit` is long.
    pub fn look(&mut self, limit: Duration, now: Time) -> Option<Stretch> {
        self.limit = limit;
        self.is_awaited = self.since.is_none();
        self.under_way(now)
    }

    /// The stretch under way.
    pub fn under_way(&self, now: Time) -> Option<Stretch> {
        self.since.map(|since| Stretch { number: self.number, length: now.since(since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_nanos(100);

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    fn stretch(number: u64, nanos: u64) -> Option<Stretch> {
        Some(Stretch { number, length: Duration::from_nanos(nanos) })
    }

    #[test]
    fn a_stretch_goes_from_the_first_thing_after_a_sleep_to_the_next_turn() {
        let mut stretches = Stretches::default();
        assert_eq!(stretches.look(LIMIT, at(0)), None);
        assert_eq!(stretches.take(Sign::Busy, at(10)), News { ended: None, has_begun: true });
        assert_eq!(stretches.take(Sign::Busy, at(60)), News::default());
        assert_eq!(stretches.look(LIMIT, at(70)), stretch(1, 60));
        assert_eq!(
            stretches.take(Sign::Turned, at(150)),
            News { ended: stretch(1, 140), has_begun: false }
        );
        assert_eq!(stretches.look(LIMIT, at(160)), stretch(2, 10));
    }

    #[test]
    fn a_sleep_belongs_to_no_stretch() {
        let mut stretches = Stretches::default();
        stretches.look(LIMIT, at(0));
        stretches.take(Sign::Turned, at(0));
        assert_eq!(stretches.take(Sign::Asleep, at(20)), News::default());
        assert_eq!(stretches.look(LIMIT, at(900)), None);
        assert_eq!(stretches.take(Sign::Turned, at(1_000)), News { ended: None, has_begun: true });
        assert_eq!(stretches.take(Sign::Asleep, at(1_200)).ended, stretch(2, 200));
        assert_eq!(stretches.take(Sign::Asleep, at(1_500)), News::default());
    }

    #[test]
    fn turning_ends_one_stretch_and_begins_another() {
        let mut stretches = Stretches::default();
        for now in (0..1_000).step_by(90) {
            assert_eq!(stretches.take(Sign::Turned, at(now)).ended, None);
        }
        assert_eq!(stretches.number(), 12);
        assert_eq!(Sign::from_abi(2), Some(Sign::Asleep));
        assert_eq!(Sign::from_abi(3), None);
    }
}

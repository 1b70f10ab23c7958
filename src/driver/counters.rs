//! What a loop has done so far, how punctually, and how long it kept its host waiting.

use std::cell::{Cell, RefCell};
use std::time::Duration;

/// The buckets of a [`Histogram`].
pub const BUCKETS: usize = 26;

/// How many durations lay in which range. Bucket 0 counts those up to a microsecond; the bound
/// doubles from bucket to bucket, up to 2^24 microseconds (16.8 s); the last bucket counts what is
/// longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    total: Duration,
    longest: Duration,
}

impl Histogram {
    /// The longest duration that the bucket counts; `None` for the last one, which has no bound.
    pub fn bound(bucket: usize) -> Option<Duration> {
        (bucket < BUCKETS - 1).then(|| Duration::from_micros(1 << bucket))
    }

    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        self.counts[bucket(duration)] += 1;
        self.total = self.total.saturating_add(duration);
        self.longest = self.longest.max(duration);
    }

    /// The number of durations in each bucket.
    pub fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// All durations together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The longest of them; zero if there is none.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

/// The first bucket whose bound is not below `duration`.
fn bucket(duration: Duration) -> usize {
    // What is too long for the number of nanoseconds belongs to the last bucket all the same.
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let micros = nanos.div_ceil(1_000);
    let doublings = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

/// Running totals since the loop was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns: events of the host that were handled.
    pub turns: u64,
    /// Items run.
    pub items: u64,
    /// Turns that ended because the slice was spent.
    pub overruns: u64,
    /// How late each timer that has fired was noticed to be due.
    pub lateness: Histogram,
    /// How long each turn took that is over. A turn in which others nested is left out, since most
    /// of it may have been the nested loop's waiting; the nested ones are in.
    pub turn_lengths: Histogram,
}

/// The counters of a loop that goes on counting.
#[derive(Debug, Default)]
pub(super) struct Counting {
    turns: Cell<u64>,
    items: Cell<u64>,
    overruns: Cell<u64>,
    lateness: RefCell<Histogram>,
    turn_lengths: RefCell<Histogram>,
}

impl Counting {
    /// What was counted so far.
    pub fn totals(&self) -> Counters {
        Counters {
            turns: self.turns.get(),
            items: self.items.get(),
            overruns: self.overruns.get(),
            lateness: self.lateness.borrow().clone(),
            turn_lengths: self.turn_lengths.borrow().clone(),
        }
    }

    /// A turn begins; its number.
    pub fn turn_began(&self) -> u64 {
        self.turns.update(|turns| turns + 1);
        self.turns.get()
    }

    /// The turn of that number took so long.
    pub fn turn_ended(&self, number: u64, length: Duration) {
        let is_innermost = self.turns.get() == number;
        if is_innermost {
            self.turn_lengths.borrow_mut().record(length);
        }
    }

    /// A turn has spent its slice.
    pub fn slice_spent(&self) {
        self.overruns.update(|overruns| overruns + 1);
    }

    /// An item is about to run.
    pub fn item_run(&self) {
        self.items.update(|items| items + 1);
    }

    /// How many items have run.
    pub fn items(&self) -> u64 {
        self.items.get()
    }

    /// A timer has fired, so long after its deadline.
    pub fn timer_fired(&self, lateness: Duration) {
        self.lateness.borrow_mut().record(lateness);
    }
}

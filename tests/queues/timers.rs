//! `Timers` beside a model that is too simple to be wrong: a `Vec` that is sorted each time.

use proptest::prelude::*;
use proptest::sample::Index;
use qtloop::core::{Time, TimerKey, Timers};

use crate::allocated;

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Cancel(Index),
    Advance(u64),
    PopOne,
    PopAll,
    NextDeadline,
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    // Few different deadlines, so that many are equal and the sequence has to decide.
    prop_oneof![
        8 => (0..40u64).prop_map(Step::Insert),
        1 => Just(Step::Insert(u64::MAX)),
        5 => any::<Index>().prop_map(Step::Cancel),
        2 => (0..5u64).prop_map(Step::Advance),
        2 => Just(Step::PopOne),
        1 => Just(Step::PopAll),
        2 => Just(Step::NextDeadline),
        1 => Just(Step::TakeAll),
    ]
}

/// The timers that can still fire: deadline, then number in the order in which they were made.
#[derive(Default)]
struct Model(Vec<(Time, usize)>);

impl Model {
    fn insert(&mut self, deadline: Time, item: usize) {
        self.0.push((deadline, item));
        self.0.sort_unstable();
    }

    fn cancel(&mut self, item: usize) -> Option<usize> {
        let at = self.0.iter().position(|(_, other)| *other == item)?;
        Some(self.0.remove(at).1)
    }

    fn next_deadline(&self) -> Option<Time> {
        self.0.first().map(|(deadline, _)| *deadline)
    }

    fn pop_due(&mut self, now: Time) -> Option<(Time, usize)> {
        self.next_deadline().filter(|deadline| *deadline <= now)?;
        Some(self.0.remove(0))
    }

    fn items(&self) -> Vec<usize> {
        sorted(self.0.iter().map(|(_, item)| *item))
    }

    fn take_all(&mut self) -> Vec<usize> {
        let items = self.items();
        self.0.clear();
        items
    }
}

fn sorted(items: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort_unstable();
    items
}

/// Both, and every key that there ever was: most of them stale.
#[derive(Default)]
struct Pair {
    timers: Timers<usize>,
    model: Model,
    keys: Vec<TimerKey>,
    now: Time,
}

impl Pair {
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Insert(nanos) => self.insert(Time::from_nanos(*nanos)),
            Step::Cancel(index) if !self.keys.is_empty() => {
                let item = index.index(self.keys.len());
                prop_assert_eq!(self.timers.cancel(self.keys[item]), self.model.cancel(item));
            }
            Step::Cancel(_) => {}
            Step::Advance(nanos) => self.now = Time::from_nanos(self.now.as_nanos() + nanos),
            Step::PopOne => {
                prop_assert_eq!(self.timers.pop_due(self.now), self.model.pop_due(self.now))
            }
            Step::PopAll => {
                let due: Vec<_> = std::iter::from_fn(|| self.timers.pop_due(self.now)).collect();
                let expected: Vec<_> =
                    std::iter::from_fn(|| self.model.pop_due(self.now)).collect();
                prop_assert_eq!(due, expected);
            }
            Step::NextDeadline => {
                prop_assert_eq!(self.timers.next_deadline(), self.model.next_deadline())
            }
            Step::TakeAll => prop_assert_eq!(sorted(self.timers.take_all()), self.model.take_all()),
        }
        Ok(())
    }

    fn insert(&mut self, deadline: Time) {
        let item = self.keys.len();
        self.model.insert(deadline, item);
        self.keys.push(self.timers.insert(deadline, item));
    }

    /// What can be seen without changing anything; `next_deadline` sweeps, and is a step of its
    /// own.
    fn compare(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.timers.len(), self.model.0.len());
        prop_assert_eq!(self.timers.is_empty(), self.model.0.is_empty());
        prop_assert_eq!(sorted(self.timers.iter().copied()), self.model.items());
        Ok(())
    }
}

/// One round in the life of a loop with timeouts: most are cancelled long before they are due.
#[derive(Clone, Debug)]
struct Round {
    made: usize,
    kept: usize,
    nanos: u64,
}

fn round() -> impl Strategy<Value = Round> {
    (0..200usize, 0..50usize, 0..200u64).prop_map(|(made, kept, nanos)| Round { made, kept, nanos })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn timers_do_what_a_sorted_vec_does(steps in prop::collection::vec(step(), 0..300)) {
        let mut pair = Pair::default();
        for step in &steps {
            pair.take(step)?;
            pair.compare()?;
        }
    }

    #[test]
    fn a_key_of_another_life_cancels_nothing(made in 1..50usize, again in 0..50usize) {
        let mut timers = Timers::default();
        let stale: Vec<_> = (0..made).map(|n| timers.insert(Time::ZERO, n)).collect();
        prop_assert_eq!(timers.take_all().len(), made);
        for n in 0..again {
            timers.insert(Time::ZERO, n);
        }
        prop_assert!(stale.into_iter().all(|key| timers.cancel(key).is_none()));
        prop_assert_eq!(timers.len(), again);
    }

    #[test]
    fn memory_stays_in_proportion_to_the_most_timers_at_once(
        rounds in prop::collection::vec(round(), 50..150)
    ) {
        const BYTES_A_TIMER: usize = 192;
        const ALWAYS_ALLOWED: usize = 16 << 10;
        let before = allocated::by_this_thread();
        let mut timers = Timers::default();
        let (mut now, mut most) = (Time::ZERO, 0);
        for round in rounds {
            for n in 0..round.made {
                let key = timers.insert(Time::from_nanos(now.as_nanos() + 10 * round.nanos), n);
                most = most.max(timers.len());
                if n >= round.kept {
                    timers.cancel(key);
                }
            }
            now = Time::from_nanos(now.as_nanos() + round.nanos);
            while timers.pop_due(now).is_some() {}
            let bytes = allocated::by_this_thread() - before;
            prop_assert!(bytes <= ALWAYS_ALLOWED + most * BYTES_A_TIMER, "{bytes} bytes for {most} \
                timers");
        }
    }
}

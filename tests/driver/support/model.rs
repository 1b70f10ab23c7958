//! asyncio's `_run_once`, written down as simply as possible.
//!
//! Its selector and its clock are what the host told the loop under test, so that it says what must
//! run next, to the item.

use std::collections::{BTreeMap, VecDeque};

use qtloop::core::{Direction, Fd, Interest, Time};

/// What is scheduled: a number of its own, and which body of the program it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: usize,
    pub body: usize,
}

#[derive(Default)]
pub struct Model {
    ready: VecDeque<Item>,
    /// How many of them belong to the iteration under way.
    batch: usize,
    timers: Vec<(Time, Item)>,
    watches: BTreeMap<(Fd, bool), Item>,
    /// The readiness that the host has reported and no iteration has looked at yet.
    noted: Vec<(Fd, Interest)>,
    /// What the iteration under way has looked at.
    polled: Vec<(Fd, Interest)>,
    stopping: bool,
    broken: bool,
    has_iterated: bool,
}

impl Model {
    /// The item that runs next, at an iteration whose clock reads `now`.
    pub fn next(&mut self, now: Time) -> Option<Item> {
        assert!(!self.broken, "an item ran after one that broke the run");
        if self.batch == 0 {
            assert!(!self.stopping || !self.has_iterated, "another iteration after the stop");
            self.has_iterated = true;
            self.poll();
            self.take_due(now);
            self.batch = self.ready.len();
        }
        self.batch = self.batch.checked_sub(1)?;
        self.ready.pop_front()
    }

    fn poll(&mut self) {
        self.polled = std::mem::take(&mut self.noted);
        for (fd, readiness) in &self.polled {
            let sides = SIDES.into_iter().filter(|side| readiness.has(*side));
            self.ready.extend(sides.filter_map(|side| self.watches.get(&key(*fd, side))));
        }
    }

    fn take_due(&mut self, now: Time) {
        // The sort is stable: of equal deadlines the one made first stays first.
        self.timers.sort_by_key(|(deadline, _)| *deadline);
        let due = self.timers.partition_point(|(deadline, _)| *deadline <= now);
        self.ready.extend(self.timers.drain(..due).map(|(_, item)| item));
    }

    pub fn call_soon(&mut self, item: Item) {
        self.ready.push_back(item);
    }

    pub fn call_at(&mut self, deadline: Time, item: Item) {
        self.timers.push((deadline, item));
    }

    pub fn cancel(&mut self, item: Item) -> Option<Item> {
        let at = self.timers.iter().position(|(_, other)| *other == item)?;
        Some(self.timers.remove(at).1)
    }

    pub fn watch(&mut self, fd: Fd, direction: Direction, item: Item) -> Option<Item> {
        self.watches.insert(key(fd, direction), item)
    }

    pub fn unwatch(&mut self, fd: Fd, direction: Direction) -> Option<Item> {
        // A selector that was not asked does not answer: what was noted is not for whoever watches
        // next.
        self.noted
            .iter_mut()
            .filter(|(noted, _)| *noted == fd)
            .for_each(|(_, it)| *it = it.without(direction));
        self.watches.remove(&key(fd, direction))
    }

    pub fn note(&mut self, fd: Fd, readiness: Interest) {
        // The host reports again and again, until the item has run that the iteration under way has
        // queued for it.
        let queued = if self.batch > 0 { of(fd, &self.polled) } else { Interest::NONE };
        let fresh =
            SIDES.into_iter().filter(|side| queued.has(*side)).fold(readiness, Interest::without);
        let noted = of(fd, &self.noted) | fresh;
        match self.noted.iter_mut().find(|(other, _)| *other == fd) {
            Some((_, interest)) => *interest = noted,
            None => self.noted.push((fd, noted)),
        }
    }

    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The item under way ends the run at once.
    pub fn break_off(&mut self) {
        self.broken = true;
    }

    /// The run has ended, by its items or from outside. The next one begins with an iteration of
    /// its own; if what ended this one came from outside, it is the one that has to stop.
    pub fn end_run(&mut self, by_items: bool) {
        let is_stopped = self.stopping && self.batch == 0;
        assert!(!by_items || self.broken || is_stopped, "the run ended before its iteration");
        self.stopping &= !by_items;
        (self.broken, self.has_iterated) = (false, false);
        self.batch = 0;
        self.noted.clear();
    }

    /// Whether the run is to end by what its items did.
    pub fn is_ending(&self) -> bool {
        self.stopping || self.broken
    }

    pub fn is_between_iterations(&self) -> bool {
        self.batch == 0
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.iter().map(|(deadline, _)| *deadline).min()
    }

    /// How many items are ready and how many timers can still fire.
    pub fn pending(&self) -> (usize, usize) {
        (self.ready.len(), self.timers.len())
    }

    /// How many items wait for fds.
    pub fn watched(&self) -> usize {
        self.watches.len()
    }

    pub fn interests(&self) -> BTreeMap<Fd, Interest> {
        let mut interests = BTreeMap::new();
        for (fd, is_write) in self.watches.keys() {
            let interest: &mut Interest = interests.entry(*fd).or_default();
            *interest = *interest | if *is_write { Interest::WRITE } else { Interest::READ };
        }
        interests
    }
}

const SIDES: [Direction; 2] = [Direction::Read, Direction::Write];

fn of(fd: Fd, list: &[(Fd, Interest)]) -> Interest {
    list.iter().find(|(listed, _)| *listed == fd).map_or(Interest::NONE, |(_, interest)| *interest)
}

fn key(fd: Fd, direction: Direction) -> (Fd, bool) {
    (fd, direction == Direction::Write)
}

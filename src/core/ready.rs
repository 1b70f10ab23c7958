//! The queue of what may run now, cut into batches.

use std::collections::VecDeque;

use super::Inbox;

/// Callbacks in the order in which they became ready.
///
/// An *iteration* is what was ready when it began: asyncio's. What a callback schedules while it
/// lasts waits for the next one, so that timers and file descriptors are looked at in between.
/// Mostly it is one *batch*. A batch may be left half done when the turn's slice is spent, and goes
/// on in the next turn.
///
/// Other threads can send more than the loop can run, and each iteration would be longer than the
/// one before. So one with much that was sent is cut into several batches. What a look finds
/// between two of them ([`find`](Ready::find)) runs with the next one, before the rest of the
/// iteration.
#[derive(Debug)]
pub struct Ready<T> {
    queue: VecDeque<T>,
    /// How many items at the front belong to the batch under way.
    batch: usize,
    /// How many items behind the batch belong to the same iteration: none, unless that was cut.
    rest: usize,
    /// How many items of other threads wait behind the iteration.
    sent: usize,
    /// What the look before the next batch has found.
    found: Vec<T>,
    /// What cannot run before something further up the stack has ended.
    deferred: Vec<T>,
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Ready {
            queue: VecDeque::new(),
            batch: 0,
            rest: 0,
            sent: 0,
            found: Vec::new(),
            deferred: Vec::new(),
        }
    }
}

impl<T> Ready<T> {
    /// Queues `item` behind everything that is ready.
    pub fn push(&mut self, item: T) {
        self.queue.push_back(item);
    }

    /// Queues what other threads have sent, likewise.
    pub fn push_sent(&mut self, inbox: &Inbox<T>) {
        self.sent += inbox.take_into(&mut self.queue);
    }

    /// Takes an item that a look has found: it belongs to the next batch.
    pub fn find(&mut self, item: T) {
        self.found.push(item);
    }

    /// Begins the next batch, and says how many items it has: what was found since the last one,
    /// behind what was queued. That is all of it, or about `most` items if other threads have sent
    /// more than that.
    pub fn begin_batch(&mut self, most: usize) -> usize {
        let is_cut = if self.is_iteration_done() {
            self.rest = self.queue.len();
            std::mem::take(&mut self.sent) > most
        } else {
            true
        };
        let taken = if is_cut { self.rest.min(most.max(1)) } else { self.rest };
        self.rest -= taken;
        self.batch = taken + self.found.len();
        if taken == self.queue.len() {
            self.queue.extend(self.found.drain(..));
        } else {
            self.insert_found(taken);
        }
        self.batch
    }

    /// Puts what was found behind the first so many items.
    fn insert_found(&mut self, taken: usize) {
        if self.found.is_empty() {
            return;
        }
        let before: Vec<_> = self.queue.drain(..taken).collect();
        self.found.drain(..).rev().for_each(|item| self.queue.push_front(item));
        before.into_iter().rev().for_each(|item| self.queue.push_front(item));
    }

    /// The next item of the batch under way; `None` when the batch is done.
    pub fn pop(&mut self) -> Option<T> {
        self.batch = self.batch.checked_sub(1)?;
        self.queue.pop_front()
    }

    /// What was queued last, unless it belongs to the batch under way.
    pub fn pop_last(&mut self) -> Option<T> {
        (self.queue.len() > self.batch).then(|| self.queue.pop_back()).flatten()
    }

    /// Puts `item` aside until [`recall`](Ready::recall).
    pub fn defer(&mut self, item: T) {
        self.deferred.push(item);
    }

    /// Puts what was put aside, in its order, at the front of the batch under way.
    pub fn recall(&mut self) {
        self.batch += self.deferred.len();
        self.deferred.drain(..).rev().for_each(|item| self.queue.push_front(item));
    }

    /// Ends the iteration under way. What is left of it goes back among the rest: the next one
    /// begins with it.
    pub fn end_iteration(&mut self) {
        self.recall();
        // Somebody sent it, or it would not have been cut.
        self.sent += std::mem::take(&mut self.rest);
        self.batch = 0;
        self.queue.extend(self.found.drain(..));
    }

    /// Whether nothing of the last batch is left to run.
    pub fn batch_is_done(&self) -> bool {
        self.batch == 0
    }

    /// Whether nothing of the last iteration is left to run.
    pub fn is_iteration_done(&self) -> bool {
        self.batch == 0 && self.rest == 0
    }

    /// About how many items wait that other threads have sent; not counted is the batch under way.
    pub fn sent(&self) -> usize {
        self.sent + self.rest
    }

    /// How many items wait: in the batch, behind it, and put aside.
    pub fn len(&self) -> usize {
        self.queue.len() + self.found.len() + self.deferred.len()
    }

    /// Whether nothing waits that could run now.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.found.is_empty()
    }

    /// What waits, in order; what was put aside first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.deferred.iter().chain(&self.queue).chain(&self.found)
    }

    /// Takes everything out, for the caller to drop where dropping is safe.
    pub fn take_all(&mut self) -> VecDeque<T> {
        self.end_iteration();
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 4;

    /// An inbox with these in it.
    fn sent(items: impl IntoIterator<Item = i32>) -> Inbox<i32> {
        let inbox = Inbox::default();
        items.into_iter().for_each(|item| inbox.push(item));
        inbox
    }

    #[test]
    fn what_is_found_runs_before_the_rest_of_a_flood() {
        let mut ready = Ready::default();
        ready.push_sent(&sent(0..10));
        ready.find(100);
        assert_eq!(ready.begin_batch(MOST), 5);
        assert_eq!([ready.pop(), ready.pop()], [Some(0), Some(1)]);
        ready.push(200);
        assert_eq!(
            [ready.pop(), ready.pop(), ready.pop(), ready.pop()],
            [Some(2), Some(3), Some(100), None]
        );
        assert!(ready.batch_is_done() && !ready.is_iteration_done());
        assert_eq!(ready.begin_batch(MOST), 4);
        while ready.pop().is_some() {}
        ready.find(101);
        assert_eq!(
            ready.begin_batch(MOST),
            3,
            "the last of the iteration, and not what it has scheduled"
        );
        assert_eq!(
            [ready.pop(), ready.pop(), ready.pop(), ready.pop()],
            [Some(8), Some(9), Some(101), None]
        );
        assert!(ready.is_iteration_done());
        assert_eq!((ready.begin_batch(MOST), ready.pop()), (1, Some(200)));
    }

    #[test]
    fn what_the_loop_schedules_by_itself_is_one_batch() {
        let mut ready = Ready::default();
        (0..10).for_each(|item| ready.push(item));
        ready.push_sent(&sent(10..10 + MOST as i32));
        ready.find(100);
        assert_eq!(ready.begin_batch(MOST), 11 + MOST);
        assert!((0..10 + MOST as i32).chain([100]).all(|item| ready.pop() == Some(item)));
    }

    #[test]
    fn a_flood_that_is_left_is_a_flood_still() {
        let mut ready = Ready::default();
        ready.push_sent(&sent(0..20));
        ready.begin_batch(MOST);
        ready.end_iteration();
        assert_eq!((ready.len(), ready.sent()), (20, 16));
        assert_eq!(ready.begin_batch(MOST), MOST);
    }

    #[test]
    fn what_a_batch_schedules_waits_for_the_next() {
        let mut ready = Ready::default();
        ready.push(1);
        ready.push(2);
        assert_eq!(ready.begin_batch(MOST), 2);
        assert_eq!(ready.pop(), Some(1));
        ready.push(3);
        assert_eq!(ready.pop(), Some(2));
        assert_eq!(ready.pop(), None);
        assert!(ready.batch_is_done() && !ready.is_empty());
        assert_eq!(ready.begin_batch(MOST), 1);
        assert_eq!(ready.pop(), Some(3));
    }

    #[test]
    fn what_is_put_aside_comes_back_first_and_in_order() {
        let mut ready = Ready::default();
        [1, 2, 3].into_iter().for_each(|item| ready.push(item));
        ready.begin_batch(MOST);
        let aside: Vec<_> = [ready.pop(), ready.pop()].into_iter().flatten().collect();
        aside.into_iter().for_each(|item| ready.defer(item));
        assert_eq!(ready.len(), 3);
        assert_eq!(ready.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        ready.recall();
        assert_eq!(
            [ready.pop(), ready.pop(), ready.pop(), ready.pop()],
            [Some(1), Some(2), Some(3), None]
        );
        ready.defer(4);
        assert!(ready.is_empty());
        assert_eq!(ready.take_all(), [4]);
    }

    #[test]
    fn what_was_queued_last_can_be_taken_until_it_belongs_to_a_batch() {
        let mut ready = Ready::default();
        assert_eq!(ready.pop_last(), None);
        ready.push(1);
        ready.begin_batch(usize::MAX);
        assert_eq!(ready.pop_last(), None);
        ready.push(2);
        ready.push(3);
        assert_eq!(
            (ready.pop_last(), ready.pop_last(), ready.pop_last()),
            (Some(3), Some(2), None)
        );
        assert_eq!((ready.pop(), ready.pop()), (Some(1), None));
    }

    #[test]
    fn taking_all_ends_the_batch() {
        let mut ready = Ready::default();
        ready.push('a');
        ready.begin_batch(MOST);
        assert_eq!(ready.take_all().len(), 1);
        assert_eq!(ready.pop(), None);
        assert_eq!(ready.len(), 0);
    }
}

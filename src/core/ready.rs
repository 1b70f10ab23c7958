//! The queue of what may run now, cut into batches.

use std::collections::VecDeque;

/// Callbacks in the order in which they became ready.
///
/// A *batch* is what was ready when it began. What a callback schedules while the batch runs waits for the next one,
/// so that timers and file descriptors are looked at in between: the iteration of `asyncio`. A batch may be left half
/// done when the turn's slice is spent, and goes on in the next turn.
#[derive(Debug)]
pub struct Ready<T> {
    queue: VecDeque<T>,
    /// How many items at the front belong to the batch under way.
    batch: usize,
    /// What cannot run before something further up the stack has ended.
    deferred: Vec<T>,
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Ready { queue: VecDeque::new(), batch: 0, deferred: Vec::new() }
    }
}

impl<T> Ready<T> {
    /// Queues `item` behind everything that is ready.
    pub fn push(&mut self, item: T) {
        self.queue.push_back(item);
    }

    /// Makes everything queued so far one batch, and says how many items that is.
    pub fn begin_batch(&mut self) -> usize {
        self.batch = self.queue.len();
        self.batch
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

    /// Puts what is left of the batch under way back among the rest: the next batch begins with it.
    pub fn end_batch(&mut self) {
        self.recall();
        self.batch = 0;
    }

    /// Whether nothing of the last batch is left to run.
    pub fn batch_is_done(&self) -> bool {
        self.batch == 0
    }

    /// How many items wait: in the batch, behind it, and put aside.
    pub fn len(&self) -> usize {
        self.queue.len() + self.deferred.len()
    }

    /// Whether nothing waits that could run now.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What waits, in order; what was put aside first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.deferred.iter().chain(&self.queue)
    }

    /// Takes everything out, for the caller to drop where dropping is safe.
    pub fn take_all(&mut self) -> VecDeque<T> {
        self.end_batch();
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_schedules_waits_for_the_next() {
        let mut ready = Ready::default();
        ready.push(1);
        ready.push(2);
        assert_eq!(ready.begin_batch(), 2);
        assert_eq!(ready.pop(), Some(1));
        ready.push(3);
        assert_eq!(ready.pop(), Some(2));
        assert_eq!(ready.pop(), None);
        assert!(ready.batch_is_done() && !ready.is_empty());
        assert_eq!(ready.begin_batch(), 1);
        assert_eq!(ready.pop(), Some(3));
    }

    #[test]
    fn what_is_put_aside_comes_back_first_and_in_order() {
        let mut ready = Ready::default();
        [1, 2, 3].into_iter().for_each(|item| ready.push(item));
        ready.begin_batch();
        let aside: Vec<_> = [ready.pop(), ready.pop()].into_iter().flatten().collect();
        aside.into_iter().for_each(|item| ready.defer(item));
        assert_eq!(ready.len(), 3);
        assert_eq!(ready.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        ready.recall();
        assert_eq!([ready.pop(), ready.pop(), ready.pop(), ready.pop()], [Some(1), Some(2), Some(3), None]);
        ready.defer(4);
        assert!(ready.is_empty());
        assert_eq!(ready.take_all(), [4]);
    }

    #[test]
    fn what_was_queued_last_can_be_taken_until_it_belongs_to_a_batch() {
        let mut ready = Ready::default();
        assert_eq!(ready.pop_last(), None);
        ready.push(1);
        ready.begin_batch();
        assert_eq!(ready.pop_last(), None);
        ready.push(2);
        ready.push(3);
        assert_eq!((ready.pop_last(), ready.pop_last(), ready.pop_last()), (Some(3), Some(2), None));
        assert_eq!((ready.pop(), ready.pop()), (Some(1), None));
    }

    #[test]
    fn taking_all_ends_the_batch() {
        let mut ready = Ready::default();
        ready.push('a');
        ready.begin_batch();
        assert_eq!(ready.take_all().len(), 1);
        assert_eq!(ready.pop(), None);
        assert_eq!(ready.len(), 0);
    }
}

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
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Ready { queue: VecDeque::new(), batch: 0 }
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

    /// Puts what is left of the batch under way back among the rest: the next batch begins with it.
    pub fn end_batch(&mut self) {
        self.batch = 0;
    }

    /// Whether nothing of the last batch is left to run.
    pub fn batch_is_done(&self) -> bool {
        self.batch == 0
    }

    /// How many items wait, in the batch and behind it.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter()
    }

    /// Takes everything out, for the caller to drop where dropping is safe.
    pub fn take_all(&mut self) -> VecDeque<T> {
        self.batch = 0;
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
    fn taking_all_ends_the_batch() {
        let mut ready = Ready::default();
        ready.push('a');
        ready.begin_batch();
        assert_eq!(ready.take_all().len(), 1);
        assert_eq!(ready.pop(), None);
        assert_eq!(ready.len(), 0);
    }
}

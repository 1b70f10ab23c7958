//! Where other threads leave work for the loop's thread.

use std::sync::PoisonError;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Room for so many items is kept while there are none.
const ROOM: usize = 2048;

/// A queue that any thread may push to and the loop's thread empties, a whole batch at a time.
///
/// The flag lets the loop's thread learn that there is nothing without taking the lock: one atomic
/// load a turn.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    filled: AtomicBool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Inbox { queue: Mutex::new(Vec::new()), filled: AtomicBool::new(false) }
    }
}

impl<T> Inbox<T> {
    /// Leaves `item`. The caller wakes the loop afterwards.
    pub fn push(&self, item: T) {
        self.push_and_count(item);
    }

    /// As [`push`](Inbox::push); how many items are there now.
    pub fn push_and_count(&self, item: T) -> usize {
        let mut queue = self.lock();
        queue.push(item);
        if queue.len() == 1 {
            self.filled.store(true, Ordering::Release);
        }
        queue.len()
    }

    /// Whether something waits. May be stale by the time the caller acts on it, in either
    /// direction.
    pub fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Takes everything out in the order in which it came.
    pub fn take_all(&self) -> Vec<T> {
        let mut queue = self.lock();
        self.filled.store(false, Ordering::Release);
        std::mem::take(&mut queue)
    }

    /// As [`take_all`](Inbox::take_all), to the end of `items`; how many there were. The memory
    /// stays for what comes next, unless it is much.
    pub fn take_into(&self, items: &mut impl Extend<T>) -> usize {
        let mut queue = self.lock();
        self.filled.store(false, Ordering::Release);
        let count = queue.len();
        items.extend(queue.drain(..));
        queue.shrink_to(ROOM);
        count
    }

    /// Shows what waits to `visit`, which must not come back to this inbox.
    pub fn visit<E>(&self, visit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.lock().iter().try_for_each(visit)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing that can panic runs under the lock but an allocation; the queue is whole either
        // way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn what_is_taken_comes_behind_what_was_there() {
        let inbox = Inbox::default();
        let mut items = VecDeque::from([0]);
        for round in 0..3 {
            (1..=2).for_each(|n| inbox.push(round * 2 + n));
            assert!(inbox.is_filled());
            assert_eq!(inbox.take_into(&mut items), 2);
            assert!(!inbox.is_filled());
        }
        assert_eq!(items, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_flood_leaves_no_memory_behind() {
        let inbox = Inbox::default();
        (0..4 * ROOM).for_each(|n| inbox.push(n));
        inbox.take_into(&mut VecDeque::new());
        assert!(inbox.lock().capacity() <= ROOM);
    }

    #[test]
    fn nothing_is_lost_and_each_thread_keeps_its_order() {
        const THREADS: usize = 4;
        const EACH: usize = if cfg!(miri) { 100 } else { 10_000 };
        let inbox = Arc::new(Inbox::default());
        let senders: Vec<_> = (0..THREADS)
            .map(|sender| {
                let inbox = Arc::clone(&inbox);
                thread::spawn(move || (0..EACH).for_each(|n| inbox.push((sender, n))))
            })
            .collect();
        let mut next = [0; THREADS];
        while next.iter().sum::<usize>() < THREADS * EACH {
            if !inbox.is_filled() {
                thread::yield_now();
                continue;
            }
            for (sender, n) in inbox.take_all() {
                assert_eq!(next[sender], n);
                next[sender] += 1;
            }
        }
        assert!(senders.into_iter().all(|sender| sender.join().is_ok()));
        assert!(!inbox.is_filled());
    }
}

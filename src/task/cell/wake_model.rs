//! A model of a task and other threads, in every order in which they can take their steps: `make
//! loom`.
//!
//! The flags and the inbox are the real ones. The loop here uses them as `raw.rs` does.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::flags::Flags;
use crate::core::Inbox;

/// A task that ends once its wakers have told it enough. Each of them tells it something.
struct Task {
    flags: Flags,
    inbox: Inbox<()>,
    told: [AtomicUsize; 2],
}

impl Task {
    /// Another thread tells something and wakes.
    fn tell(&self, waker: usize) {
        self.told[waker].store(1, Ordering::Relaxed);
        if self.flags.wake() {
            self.inbox.push(());
        }
    }
}

/// The loop's thread.
struct Loop {
    task: Arc<Task>,
    /// How many wakers have to tell something before the task ends.
    awaited: usize,
    /// A mistake that the model must find: what was sent counts as come only after the poll.
    arrives_late: bool,
    heard: usize,
    has_ended: bool,
    /// How often the reference of the table was given up.
    released: usize,
}

impl Loop {
    fn turn(&mut self) {
        for () in self.task.inbox.take_all() {
            if self.arrives_late {
                self.poll();
            }
            match self.task.flags.arrive() {
                true if self.arrives_late => {}
                true => self.poll(),
                false => self.released += 1,
            }
        }
    }

    fn poll(&mut self) {
        self.heard = self.task.told.iter().map(|told| told.load(Ordering::Relaxed)).sum();
        if self.heard >= self.awaited && !self.has_ended {
            self.has_ended = true;
            self.released += usize::from(!self.task.flags.end().is_under_way);
        }
    }
}

fn check_wakes(awaited: usize, arrives_late: bool) {
    loom::model(move || {
        let task = Arc::new(Task {
            flags: Flags::default(),
            inbox: Inbox::default(),
            told: Default::default(),
        });
        let wakers = [0, 1].map(|waker| {
            let task = Arc::clone(&task);
            thread::spawn(move || task.tell(waker))
        });
        let mut driver =
            Loop { task, awaited, arrives_late, heard: 0, has_ended: false, released: 0 };
        driver.turn();
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        driver.turn();
        assert!(driver.heard >= awaited, "a wake was lost");
        assert_eq!(driver.released, 1, "the table's reference is given up once");
        assert!(!driver.task.inbox.is_filled());
    });
}

#[test]
fn a_task_hears_of_every_wake() {
    check_wakes(2, false);
}

#[test]
fn a_task_that_ends_while_it_is_sent_is_released_when_that_has_come() {
    check_wakes(1, false);
}

#[test]
#[should_panic(expected = "a wake was lost")]
fn what_comes_to_be_polled_too_late_is_lost() {
    check_wakes(2, true);
}

#[test]
fn the_outcome_is_dropped_by_one_thread() {
    loom::model(|| {
        let task = Arc::new((Flags::default(), UnsafeCell::new(None)));
        let handle = Arc::clone(&task);
        let handle = thread::spawn(move || {
            let (flags, outcome) = &*handle;
            // SAFETY: the task has ended while it was awaited: the outcome is the handle's.
            flags.detach().then(|| outcome.with_mut(|outcome| unsafe { (*outcome).take() }))
        });
        let (flags, outcome) = &*task;
        // SAFETY: the task has not ended.
        outcome.with_mut(|outcome| unsafe { *outcome = Some(7) });
        let is_awaited = flags.end().is_awaited;
        // SAFETY: nobody awaits the task: the outcome is the loop's.
        let ours = (!is_awaited).then(|| outcome.with_mut(|outcome| unsafe { (*outcome).take() }));
        let theirs = handle.join().unwrap();
        assert_eq!(ours.or(theirs), Some(Some(7)));
        assert!(ours.is_none() || theirs.is_none());
    });
}

//! Where threads wait that send more than the loop runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a thread waits for a turn: as long as Python lets a thread run that others wait for.
const PATIENCE: Duration = Duration::from_millis(5);

/// Holds threads up until the loop has caught up with them.
///
/// A turn with Python's code in it needs Python's lock, and so does a thread that sends without a
/// pause. Between two turns, while the host has its own, the loop has let go of the lock; to get it
/// back takes 5 ms, in which that thread sends more than the loop runs in ten turns. So it has to
/// let go too: the stock loop makes it do so, by a system call each time.
///
/// To hand Python's lock over, and back, takes two changes of thread, which cost as much as a
/// hundred items. So a thread that has to wait does so until the loop has run nearly all that waits,
/// in several turns if need be, and not only until there is room for one more.
///
/// Nobody waits for a loop that has no turns: because a callback takes its time, and may even wait
/// for the thread that sends. If one has waited in vain, the others, until the next turn has ended,
/// only give way for a moment.
#[derive(Debug, Default)]
pub struct Brake {
    state: Mutex<State>,
    turned: Condvar,
    /// Whether somebody waits, or has waited in vain: for the loop's thread, which takes the lock
    /// only then.
    is_on: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    turns: u64,
    /// How many of the turns have left little to run.
    rests: u64,
    is_in_vain: bool,
}

impl Brake {
    /// Waits until the loop has ended a turn and has little left to run, but not for long. With no
    /// lock held that the loop needs for that. From any thread but the loop's.
    pub fn wait(&self) {
        let mut state = self.lock();
        if state.is_in_vain {
            drop(state);
            return thread::yield_now();
        }
        self.is_on.store(true, Ordering::Relaxed);
        let (turns, rests) = (state.turns, state.rests);
        let waited = self
            .turned
            .wait_timeout_while(state, PATIENCE, |state| state.rests == rests && !state.is_in_vain);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_in_vain |= state.turns == turns;
    }

    /// The loop has ended a turn; `has_rest` says whether it has little left to run, and is asked
    /// only if somebody waits. If it misses that somebody has just begun to, the next turn does not.
    pub fn turned(&self, has_rest: impl FnOnce() -> bool) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let has_rest = has_rest();
        let mut state = self.lock();
        state.turns += 1;
        state.is_in_vain = false;
        if has_rest {
            state.rests += 1;
            self.is_on.store(false, Ordering::Relaxed);
            self.turned.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_turn_ends_the_wait_of_everybody() {
        let brake = Brake::default();
        thread::scope(|scope| {
            let (waits, waiting) = channel();
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    let waits = waits.clone();
                    let brake = &brake;
                    scope.spawn(move || {
                        waits.send(()).expect("somebody listens");
                        brake.wait();
                    })
                })
                .collect();
            (0..3).for_each(|_| waiting.recv().expect("somebody waits"));
            while waiters.iter().any(|waiter| !waiter.is_finished()) {
                brake.turned(|| true);
                thread::yield_now();
            }
        });
    }

    #[test]
    fn a_turn_that_leaves_much_ends_no_wait() {
        let brake = Brake::default();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| brake.wait());
            while !brake.is_on.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            brake.turned(|| false);
            assert!(brake.is_on.load(Ordering::Relaxed), "the next turn looks again");
            waiter.join().expect("it ends by itself, too");
        });
        let state = brake.lock();
        assert_eq!((state.turns, state.rests), (1, 0));
        assert!(!state.is_in_vain, "there was a turn");
    }

    #[test]
    fn nobody_waits_for_long_where_no_turn_comes_and_nobody_a_second_time() {
        let brake = Brake::default();
        brake.wait();
        assert!(brake.lock().is_in_vain && brake.is_on.load(Ordering::Relaxed));
        brake.wait();
        brake.turned(|| true);
        assert_eq!(brake.lock().turns, 1);
        assert!(!brake.lock().is_in_vain, "the next one waits");
    }
}

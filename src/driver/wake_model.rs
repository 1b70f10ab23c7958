//! A model of the wake, in every order in which the loop's thread and others can take their steps:
//! `make loom`.
//!
//! The inbox and the flag are the real ones. The loop here takes those steps of `turn.rs` that
//! concern the wake, in the same order. The eventfd is modelled: it reports a loop that goes on
//! sleeping after everything was sent.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::Strategy;
use crate::core::{AwakeFlag, Inbox};

/// Orders with more interruptions of threads are not tried: that would take too long. The
/// environment variable `LOOM_MAX_PREEMPTIONS` replaces this number.
const MOST_PREEMPTIONS: usize = 3;

/// The sender, and the number of the item.
type Item = (usize, usize);

/// An eventfd, as the host sees it.
struct Signal {
    strategy: Strategy,
    state: Mutex<SignalState>,
    sent: Condvar,
}

struct SignalState {
    /// The fd is readable, or has a new edge.
    is_pending: bool,
    signals: usize,
    /// How many threads may still send a wake.
    senders: usize,
}

impl Signal {
    fn send(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_pending = true;
        state.signals += 1;
        self.sent.notify_one();
    }

    /// A sender has sent everything that it had to send.
    fn sender_is_done(&self) {
        self.state.lock().unwrap().senders -= 1;
        self.sent.notify_one();
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.is_pending && state.senders > 0 {
            state = self.sent.wait(state).unwrap();
        }
        let is_woken = state.is_pending;
        drop(state);
        assert!(is_woken, "a wake was lost");
    }

    fn is_pending(&self) -> bool {
        self.state.lock().unwrap().is_pending
    }

    /// Takes the wakes back. Returns whether there were any.
    fn take(&self) -> bool {
        std::mem::take(&mut self.state.lock().unwrap().is_pending)
    }
}

/// What [`Remote`](super::Remote) holds.
struct Remote {
    inbox: Inbox<Item>,
    awake: AwakeFlag,
    signal: Signal,
}

impl Remote {
    fn send(&self, item: Item) {
        self.inbox.push(item);
        if self.awake.wake() {
            self.signal.send();
        }
    }
}

/// Mistakes that the model must find.
#[derive(Clone, Copy)]
struct Mistakes {
    /// The loop looks at the inbox and then says that it may sleep.
    looks_too_early: bool,
    /// A look at the fds takes the wake, but the flag still says that a wake is under way.
    forgets_spent_wake: bool,
}

/// The driver and its host.
struct Loop {
    remote: Arc<Remote>,
    mistakes: Mistakes,
    /// How many items have to come.
    expected: usize,
    /// Whether the first item runs a nested loop until all items have come.
    nests: bool,
    armed: bool,
    ready: Vec<Item>,
    ran: Vec<Item>,
    sleeps: usize,
}

impl Loop {
    /// The host's loop. An fd that is ready comes before an armed turn.
    fn run(&mut self) {
        while self.ran.len() < self.expected {
            if self.armed && !self.remote.signal.is_pending() {
                // `Event::Ready`.
                self.arm();
            } else {
                // `Event::Fd`.
                self.remote.signal.wait();
                if self.remote.signal.strategy == Strategy::Notifier {
                    self.remote.signal.take();
                }
                if !self.armed {
                    self.may_sleep();
                }
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        while self.begin_batch() {
            self.run_batch();
        }
        self.rearm();
    }

    fn begin_batch(&mut self) -> bool {
        if self.remote.inbox.is_filled() {
            self.take_inbox();
        }
        if self.remote.signal.strategy == Strategy::Set {
            self.look();
        }
        if self.ready.len() > 1 && !self.armed {
            self.arm();
        }
        !self.ready.is_empty()
    }

    fn run_batch(&mut self) {
        // A nested turn continues the batch.
        while !self.ready.is_empty() {
            self.ran.push(self.ready.remove(0));
            if std::mem::take(&mut self.nests) {
                self.run();
            }
        }
    }

    /// Looks at the fds, that is, at the edge-triggered one of the wake.
    fn look(&mut self) {
        let is_spent = self.remote.signal.take() && !self.armed;
        if is_spent && !self.mistakes.forgets_spent_wake {
            self.expect_wakes();
        }
    }

    fn rearm(&mut self) {
        if self.ready.is_empty() {
            self.expect_wakes();
        }
        if self.ready.is_empty() {
            self.armed = false;
        } else if !self.armed {
            self.arm();
        }
    }

    fn expect_wakes(&mut self) {
        if self.mistakes.looks_too_early {
            let is_filled = self.remote.inbox.is_filled();
            self.may_sleep();
            return if is_filled {
                self.take_inbox()
            };
        }
        self.may_sleep();
        if self.remote.inbox.is_filled() {
            self.take_inbox();
        }
    }

    fn arm(&mut self) {
        self.armed = true;
        self.remote.awake.is_awake();
    }

    fn may_sleep(&mut self) {
        self.sleeps += 1;
        self.remote.awake.may_sleep();
    }

    fn take_inbox(&mut self) {
        self.remote.inbox.take_into(&mut self.ready);
    }
}

/// A run of the loop, which begins while each sender sends its number of items.
#[derive(Clone, Copy)]
struct Case {
    sends: &'static [usize],
    nests: bool,
    mistakes: Mistakes,
}

impl Case {
    fn check(self) {
        for strategy in [Strategy::Set, Strategy::Notifier] {
            let mut model = loom::model::Builder::new();
            model.preemption_bound.get_or_insert(MOST_PREEMPTIONS);
            model.check(move || self.run(strategy));
        }
    }

    fn run(self, strategy: Strategy) {
        let state = SignalState { is_pending: false, signals: 0, senders: self.sends.len() };
        let signal = Signal { strategy, state: Mutex::new(state), sent: Condvar::new() };
        let remote =
            Arc::new(Remote { inbox: Inbox::default(), awake: AwakeFlag::default(), signal });
        let senders = self.sends.iter().enumerate().map(|(sender, items)| {
            let remote = Arc::clone(&remote);
            thread::spawn(move || {
                (0..*items).for_each(|n| remote.send((sender, n)));
                remote.signal.sender_is_done();
            })
        });
        let senders: Vec<_> = senders.collect();
        let mut driver = Loop {
            remote: Arc::clone(&remote),
            mistakes: self.mistakes,
            expected: self.sends.iter().sum(),
            nests: self.nests,
            armed: false,
            ready: Vec::new(),
            ran: Vec::new(),
            sleeps: 0,
        };
        driver.rearm();
        driver.run();
        senders.into_iter().for_each(|sender| sender.join().unwrap());

        for (sender, items) in self.sends.iter().enumerate() {
            let of_sender: Vec<_> =
                driver.ran.iter().filter(|(from, _)| *from == sender).map(|(_, n)| *n).collect();
            assert_eq!(
                of_sender,
                Vec::from_iter(0..*items),
                "all that sender {sender} sent, in its order"
            );
        }
        assert!(!remote.inbox.is_filled());
        let signals = remote.signal.state.lock().unwrap().signals;
        assert!(signals <= driver.sleeps, "{signals} signals for {} sleeps", driver.sleeps);
    }
}

const ONE_SENDER: Case = Case { sends: &[2], nests: false, mistakes: NO_MISTAKES };
const TWO_SENDERS: Case = Case { sends: &[1, 1], ..ONE_SENDER };
const NO_MISTAKES: Mistakes = Mistakes { looks_too_early: false, forgets_spent_wake: false };

#[test]
fn one_sender_is_heard() {
    ONE_SENDER.check();
}

#[test]
fn two_senders_are_heard() {
    TWO_SENDERS.check();
}

#[test]
fn one_sender_is_heard_in_a_nested_run() {
    Case { nests: true, ..ONE_SENDER }.check();
}

#[test]
fn two_senders_are_heard_in_a_nested_run() {
    Case { nests: true, ..TWO_SENDERS }.check();
}

#[test]
#[should_panic(expected = "a wake was lost")]
fn a_loop_that_looks_before_it_may_sleep_sleeps_on() {
    Case { mistakes: Mistakes { looks_too_early: true, ..NO_MISTAKES }, ..ONE_SENDER }.check();
}

#[test]
#[should_panic(expected = "a wake was lost")]
fn a_nested_run_sleeps_on_if_a_spent_wake_is_forgotten() {
    let mistakes = Mistakes { forgets_spent_wake: true, ..NO_MISTAKES };
    Case { nests: true, mistakes, ..ONE_SENDER }.check();
}

//! A simulated host that hears all that is said between the loop and itself, and checks it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use qtloop::core::{Fd, Interest, Time};
use qtloop::host::sim::SimHost;
use qtloop::host::{Event, EventSink, Exec, Host, HostError};

use super::model::Model;

/// The longest stretch of items between two readings of the clock.
const STRIDE: usize = 16;
/// Far more events than any program needs.
const ENDLESS: u64 = 10_000;

pub struct Witness {
    pub sim: Rc<SimHost>,
    pub heard: Rc<Heard>,
}

/// What the loop has asked for, beside the model of what it must ask for.
#[derive(Default)]
pub struct Heard {
    pub model: RefCell<Model>,
    armed: Cell<bool>,
    deadline: Cell<Option<Time>>,
    watched: RefCell<BTreeMap<Fd, Interest>>,
    /// The loop's last look at the clock, and how many items ran since.
    reading: Cell<(Time, usize)>,
    pub slice: Cell<Duration>,
    turn: Cell<Turn>,
    /// When the run loop took over last.
    handed_over: Cell<Time>,
    /// For each run on the stack, whether it was told to quit.
    runs: RefCell<Vec<bool>>,
}

/// The handling of one event.
#[derive(Clone, Copy, Default)]
struct Turn {
    began: Time,
    has_run_items: bool,
    /// Whether the loop has read from the clock that its slice is spent.
    is_spent: bool,
}

impl Witness {
    pub fn new(sim: SimHost) -> Witness {
        Witness { sim: Rc::new(sim), heard: Rc::default() }
    }
}

impl Heard {
    /// The clock as the loop knows it when it runs an item.
    pub fn reading(&self) -> Time {
        let (reading, items) = self.reading.get();
        assert!(items < STRIDE, "{items} items on one reading of the clock");
        self.reading.set((reading, items + 1));
        let turn = self.turn.get();
        assert!(!turn.is_spent, "another item after the slice was spent");
        self.turn.set(Turn { has_run_items: true, ..turn });
        reading
    }

    fn read(&self, now: Time) {
        self.reading.set((now, 0));
        let turn = self.turn.get();
        let is_spent = turn.has_run_items && now.since(turn.began) >= self.slice.get();
        self.turn.set(Turn { is_spent: turn.is_spent || is_spent, ..turn });
    }

    pub fn depth(&self) -> usize {
        self.runs.borrow().len()
    }

    fn is_quitting(&self) -> bool {
        self.runs.borrow().last().is_none_or(|told| *told)
    }

    /// When the run loop goes on, it knows exactly what to wait for.
    fn check_after_event(&self) {
        let model = self.model.borrow();
        if self.is_quitting() {
            return;
        }
        assert!(
            !model.is_ending() || !model.is_between_iterations(),
            "a run goes on that is to end"
        );
        assert_eq!(
            self.armed.get(),
            model.pending().0 > 0,
            "armed, if and only if something is ready"
        );
        assert_eq!(self.deadline.get(), model.next_deadline(), "the next deadline is the host's");
        let (watched, expected) = (self.watched.borrow(), model.interests());
        assert!(
            expected.iter().all(|(fd, interest)| watched.get(fd) == Some(interest)),
            "the host watches all fds"
        );
        assert!(watched.len() <= expected.len() + 1, "and no others but the loop's own");
    }

    /// The run loop takes over, and may sleep.
    fn hand_over(&self, now: Time) {
        self.handed_over.set(now);
    }

    /// The run loop comes back. It has slept if time has passed, and must not have slept through
    /// anything.
    fn check_sleep(&self, now: Time) {
        let model = self.model.borrow();
        if now > self.handed_over.get() {
            assert_eq!(model.pending().0, 0, "the host slept, and something was ready");
            assert!(
                model.next_deadline().is_none_or(|deadline| now <= deadline),
                "the host slept through a deadline"
            );
        }
    }
}

struct Relay {
    sink: Rc<dyn EventSink>,
    sim: Rc<SimHost>,
    heard: Rc<Heard>,
}

impl EventSink for Relay {
    fn event(&self, event: Event) {
        assert!(!self.heard.is_quitting(), "an event after quit");
        assert!(self.sim.events() < ENDLESS, "events without end");
        self.heard.check_sleep(self.sim.now());
        let around = self.heard.turn.replace(Turn { began: self.sim.now(), ..Turn::default() });
        match event {
            Event::Ready => self.heard.armed.set(false),
            Event::Deadline => self.heard.deadline.set(None),
            Event::Fd(fd, readiness) => self.heard.model.borrow_mut().note(fd, readiness),
        }
        self.sink.event(event);
        self.heard.turn.set(around);
        self.heard.check_after_event();
        self.heard.hand_over(self.sim.now());
    }
}

impl Host for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn now(&self) -> Time {
        self.heard.read(self.sim.now());
        self.sim.now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        self.sim.start(Rc::new(Relay {
            sink,
            sim: Rc::clone(&self.sim),
            heard: Rc::clone(&self.heard),
        }))
    }

    fn stop(&self) {
        self.heard.armed.set(false);
        self.heard.deadline.set(None);
        self.heard.watched.borrow_mut().clear();
        self.sim.stop();
    }

    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        self.heard.hand_over(self.sim.now());
        // The turn around a nested run goes on with the reading that it had.
        let reading = self.heard.reading.get();
        self.heard.runs.borrow_mut().push(false);
        let outcome = self.sim.run(exec);
        self.heard.runs.borrow_mut().pop();
        self.heard.reading.set(reading);
        outcome
    }

    fn quit(&self) {
        if let Some(innermost) = self.heard.runs.borrow_mut().last_mut() {
            *innermost = true;
        }
        self.sim.quit();
    }

    fn arm(&self) {
        self.heard.armed.set(true);
        self.sim.arm();
    }

    fn disarm(&self) {
        self.heard.armed.set(false);
        self.sim.disarm();
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        self.heard.deadline.set(deadline);
        self.sim.set_deadline(deadline);
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        self.heard.watched.borrow_mut().insert(fd, interest);
        self.heard.watched.borrow_mut().retain(|_, interest| !interest.is_none());
        self.sim.watch(fd, interest)
    }
}

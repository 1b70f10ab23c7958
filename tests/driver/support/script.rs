//! The client that runs a program, on a loop and on the model at once.

use std::cell::{Cell, RefCell};
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use qtloop::core::{Direction, Fd, Time, TimerKey};
use qtloop::driver::{Client, Driver, Ended, Strategy};
use qtloop::host::sim::SimHost;
use qtloop::host::{Exec, Host};
use qtloop::sys::poll;

use super::model::Item;
use super::program::{Op, Program};
use super::witness::Witness;

/// So few that a busy loop does not yet lose the patience to look at its fds before each batch.
const MOST_ITEMS: usize = 60;
const DEEPEST: usize = 3;
/// Later than all that a program can schedule.
const FINALE: Duration = Duration::from_secs(1);
/// Bodies beside the program's own.
const UNNEST: usize = usize::MAX;
const FINISH: usize = usize::MAX - 1;

type Loop = Driver<Witness, Script>;

pub struct Script {
    owner: RefCell<Weak<Loop>>,
    bodies: Vec<Vec<Op>>,
    /// Real fds, since the loop asks whether they are open; the host knows only what is scripted.
    pipes: [(PipeReader, PipeWriter); 2],
    timers: RefCell<Vec<(TimerKey, Item)>>,
    made: Cell<usize>,
    scheduled: RefCell<Vec<usize>>,
    cancelled: RefCell<Vec<usize>>,
    ran: RefCell<Vec<(Time, Item)>>,
    runs: Cell<usize>,
    sends: Cell<usize>,
    finished: Cell<bool>,
}

/// Runs `program` until nothing is left of it, and says when which item ran.
pub fn run(program: &Program, strategy: Strategy) -> Vec<(Time, Item)> {
    let driver = start(program, strategy);
    let script = driver.client();
    for op in &program.prelude {
        assert!(script.perform(&driver, op).is_continue());
    }
    while !script.is_done(&driver) {
        script.run_once(&driver);
    }
    script.check_totals(&driver);
    script.ran.take()
}

fn start(program: &Program, strategy: Strategy) -> Rc<Loop> {
    let script = Script {
        owner: RefCell::default(),
        bodies: program.bodies.clone(),
        pipes: [(); 2].map(|()| pipe().expect("fds are left")),
        timers: RefCell::default(),
        made: Cell::new(0),
        scheduled: RefCell::default(),
        cancelled: RefCell::default(),
        ran: RefCell::default(),
        runs: Cell::new(0),
        sends: Cell::new(0),
        finished: Cell::new(true),
    };
    let sim = script.host();
    for (nanos, fd, readiness) in &program.script {
        sim.script(Time::from_nanos(*nanos), script.fd(*fd), *readiness);
    }
    let driver =
        Driver::new(Witness::new(sim), script, strategy).map(Rc::new).expect("fds are left");
    driver.set_slice(program.slice);
    driver.host().heard.slice.set(program.slice);
    driver.client().owner.replace(Rc::downgrade(&driver));
    driver
}

impl Client for Script {
    type Item = Item;
    type Suspended = ();

    fn run(&self, item: Item) -> ControlFlow<()> {
        let Some(driver) = self.owner.borrow().upgrade() else {
            panic!("an item outlived the loop")
        };
        let heard = &driver.host().heard;
        let reading = heard.reading();
        let expected = heard.model.borrow_mut().next(reading);
        assert_eq!(Some(item), expected, "left: what the loop runs; right: what asyncio would");
        self.ran.borrow_mut().push((driver.host().sim.now(), item));
        match item.body {
            UNNEST => self.perform(&driver, &Op::Quit),
            FINISH => {
                self.finished.set(true);
                self.perform(&driver, &Op::Stop)
            }
            body => self.bodies[body].iter().try_for_each(|op| self.perform(&driver, op)),
        }
    }

    fn share(&self, item: &Item) -> Option<Item> {
        Some(*item)
    }
}

impl Script {
    /// A host that knows of the program's own fds only what is scripted, and polls all others: the
    /// wake fd or the epoll set.
    fn host(&self) -> SimHost {
        let scripted = [0, 1, 2, 3].map(|nth| self.fd(nth));
        SimHost::with_poll(Box::new(move |watched, block| {
            let others: Vec<_> =
                watched.iter().copied().filter(|(fd, _)| !scripted.contains(fd)).collect();
            let ready = poll(&others, false)?;
            if block && ready.is_empty() {
                Err(io::Error::other("nothing will ever wake this loop"))
            } else {
                Ok(ready)
            }
        }))
    }

    fn perform(&self, driver: &Loop, op: &Op) -> ControlFlow<()> {
        let host = driver.host();
        let model = &host.heard.model;
        match *op {
            Op::Soon(body) => self.schedule(body, |item| {
                model.borrow_mut().call_soon(item);
                driver.call_soon(item);
            }),
            Op::Send(body) => self.schedule(body, |item| {
                self.sends.set(self.sends.get() + 1);
                // What is sent from here and now is queued behind what was scheduled before.
                model.borrow_mut().call_soon(item);
                driver.remote().send(item);
            }),
            Op::At(nanos, body) => self.schedule(body, |item| {
                let deadline =
                    Time::from_nanos(host.sim.now().as_nanos().saturating_add_signed(nanos));
                let key = self.call_at(driver, deadline, item);
                self.timers.borrow_mut().push((key, item));
            }),
            Op::Cancel(nth) => self.cancel(driver, nth),
            Op::Watch(nth, direction, body) => self.watch(driver, nth, direction, body),
            Op::Unwatch(nth, direction) => {
                let expected = model.borrow_mut().unwatch(self.fd(nth), direction);
                assert_eq!(driver.unwatch(self.fd(nth), direction), expected);
            }
            Op::Spend(nanos) => host.sim.advance(host.sim.now().after(Duration::from_nanos(nanos))),
            Op::Nest(nanos) => self.nest(driver, Duration::from_nanos(nanos)),
            Op::Quit => host.quit(),
            Op::Stop => {
                model.borrow_mut().stop();
                driver.set_stopping(true);
            }
            Op::Break => {
                model.borrow_mut().break_off();
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn item(&self, body: usize) -> Item {
        let id = self.made.get();
        self.made.set(id + 1);
        Item { id, body }
    }

    fn fd(&self, nth: usize) -> Fd {
        let (reader, writer) = &self.pipes[nth / 2 % 2];
        if nth.is_multiple_of(2) { reader.as_raw_fd() } else { writer.as_raw_fd() }
    }

    /// Schedules an item that is to run once, if the program has not had enough of them.
    fn schedule(&self, body: usize, how: impl FnOnce(Item)) {
        if self.made.get() < MOST_ITEMS {
            let item = self.item(body % self.bodies.len());
            self.scheduled.borrow_mut().push(item.id);
            how(item);
        }
    }

    fn call_at(&self, driver: &Loop, deadline: Time, item: Item) -> TimerKey {
        driver.host().heard.model.borrow_mut().call_at(deadline, item);
        driver.call_at(deadline, item)
    }

    fn cancel(&self, driver: &Loop, nth: usize) {
        let timers = self.timers.borrow();
        let Some((key, item)) = timers.get(nth % timers.len().max(1)) else { return };
        let cancelled = driver.cancel(*key);
        assert_eq!(cancelled, driver.host().heard.model.borrow_mut().cancel(*item));
        self.cancelled.borrow_mut().extend(cancelled.map(|item| item.id));
    }

    fn watch(&self, driver: &Loop, nth: usize, direction: Direction, body: usize) {
        let item = self.item(body % self.bodies.len());
        let expected = driver.host().heard.model.borrow_mut().watch(self.fd(nth), direction, item);
        let before = driver.watch(self.fd(nth), direction, item).expect("the fd is open");
        assert_eq!(before, expected);
    }

    fn nest(&self, driver: &Loop, span: Duration) {
        let host = driver.host();
        // A loop that is about to end its run has no part in what the host runs meanwhile.
        if host.heard.depth() < DEEPEST && !host.heard.model.borrow().is_ending() {
            self.call_at(driver, host.sim.now().after(span), self.item(UNNEST));
            host.run(Exec::Drain).expect("the nested run is ended");
        }
    }

    fn run_once(&self, driver: &Rc<Loop>) {
        self.runs.set(self.runs.get() + 1);
        if self.finished.replace(false) {
            self.call_at(driver, driver.host().sim.now().after(FINALE), self.item(FINISH));
        }
        let ended = driver.run(Exec::Drain).expect("the run is ended");
        driver.host().heard.model.borrow_mut().end_run(ended == Ended::Stopped);
    }

    /// Whether the program has run to its end.
    fn is_done(&self, driver: &Loop) -> bool {
        self.runs.get() > 0
            && self.finished.get()
            && driver.host().heard.model.borrow().pending() == (0, 0)
    }

    fn check_totals(&self, driver: &Loop) {
        assert_eq!(driver.pending(), (0, 0));
        let scheduled = self.scheduled.take();
        let ran = self.ran.borrow();
        let mut accounted: Vec<_> =
            ran.iter().map(|(_, item)| item.id).filter(|id| scheduled.contains(id)).collect();
        accounted.append(&mut self.cancelled.take());
        accounted.sort_unstable();
        assert_eq!(
            accounted, scheduled,
            "left: what ran or was cancelled; right: what was scheduled"
        );
        let nests = ran.iter().filter(|(_, item)| item.body == UNNEST).count();
        let most_events = ran.len() + self.runs.get() + self.sends.get() + 2 * nests;
        // After a turn that has spent its slice, one event may cause no turn.
        let most_events = most_events as u64 + driver.counters().overruns;
        let events = driver.host().sim.events();
        assert!(events <= most_events, "{events} events for {} items", ran.len());
        let left = driver.close().expect("the loop is idle").len();
        assert_eq!(left, driver.host().heard.model.borrow().watched());
    }
}

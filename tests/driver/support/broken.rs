//! Hosts that break the contract, each in one way.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use qtloop::core::{Fd, Interest, Time};
use qtloop::host::sim::SimHost;
use qtloop::host::{Event, EventSink, Exec, Host, HostError};
use qtloop::sys::poll;

/// What a host gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    NeverArms,
    RepeatsReady,
    ReportsFromArm,
    NeverDisarms,
    ForgetsArmOfHandler,
    /// As a timer that cannot fire again before its handler has returned.
    ArmsAfterHandler,
    QuitsAnEventLate,
    QuitsEveryRun,
    /// A nested run that begins after quit makes the run around it go on.
    ForgetsQuitForNestedRun,
    /// To whole milliseconds.
    RoundsDeadlineDown,
    IgnoresPastDeadline,
    KeepsFirstDeadline,
    KeepsEarliestDeadline,
    KeepsLatestDeadline,
    RepeatsDeadline,
    KeepsDeadlineTakenBack,
    ForgetsDeadlineOfHandler,
    /// Edge-triggered.
    ReportsFdOnce,
    ReportsBothDirections,
    AddsInterest,
    KeepsFirstInterest,
    /// Once more, as if it had been under way.
    ReportsEndedWatch,
    ReportsFromWatch,
    /// As a source that is blocked while its event is handled.
    ForgetsWatchOfHandler,
    StaysArmedWhenStopped,
    KeepsDeadlineWhenStopped,
    KeepsWatchWhenStopped,
    KeepsGuest,
}

/// A simulated host with a fault.
pub struct Broken(Rc<Inner>);

struct Inner {
    sim: SimHost,
    fault: Fault,
    relay: RefCell<Option<Rc<Relay>>>,
    /// What was asked for and has not come: it outlives `stop`.
    is_armed: Cell<bool>,
    deadline: Cell<Option<Time>>,
    watched: RefCell<BTreeMap<Fd, Interest>>,
    /// A deadline that `stop` has left behind.
    left_behind: Cell<Option<Time>>,
    is_handling: Cell<bool>,
    is_told_to_quit: Cell<bool>,
    depth: Cell<usize>,
    has_repeated: Cell<bool>,
}

struct Relay {
    host: Rc<Inner>,
    sink: Rc<dyn EventSink>,
}

impl Broken {
    pub fn new(fault: Fault) -> Broken {
        Broken(Rc::new(Inner {
            sim: SimHost::with_real_fds(),
            fault,
            relay: RefCell::default(),
            is_armed: Cell::new(false),
            deadline: Cell::new(None),
            watched: RefCell::default(),
            left_behind: Cell::new(None),
            is_handling: Cell::new(false),
            is_told_to_quit: Cell::new(false),
            depth: Cell::new(0),
            has_repeated: Cell::new(false),
        }))
    }
}

impl EventSink for Relay {
    fn event(&self, event: Event) {
        let is_last = self.host.fault == Fault::QuitsAnEventLate && self.host.is_told_to_quit.get();
        let was_handling = self.host.is_handling.replace(true);
        match event {
            Event::Ready => self.host.is_armed.set(false),
            Event::Deadline => self.host.deadline.set(None),
            Event::Fd(..) => {}
        }
        self.sink.event(match event {
            Event::Fd(fd, _) if self.host.fault == Fault::ReportsBothDirections => {
                Event::Fd(fd, Interest::BOTH)
            }
            event => event,
        });
        self.host.is_handling.set(was_handling);
        self.host.after(event);
        if is_last {
            self.host.sim.quit();
        }
    }
}

impl Inner {
    fn after(&self, event: Event) {
        match (self.fault, event) {
            (Fault::RepeatsReady, Event::Ready) if !self.has_repeated.replace(true) => {
                self.sim.arm()
            }
            (Fault::ForgetsArmOfHandler, Event::Ready) => self.sim.disarm(),
            (Fault::ArmsAfterHandler, _) if self.is_armed.get() => self.sim.arm(),
            (Fault::ForgetsQuitForNestedRun, _) if self.is_told_to_quit.take() => self.sim.quit(),
            (Fault::RepeatsDeadline, Event::Deadline) => {
                self.sim.set_deadline(Some(self.in_a_moment()))
            }
            (Fault::ForgetsDeadlineOfHandler, Event::Deadline) => self.sim.set_deadline(None),
            (Fault::ReportsFdOnce, Event::Fd(fd, _)) => self.unwatch(fd),
            (Fault::ReportsEndedWatch, Event::Fd(fd, _))
                if !self.watched.borrow().contains_key(&fd) =>
            {
                self.unwatch(fd)
            }
            _ => {}
        }
    }

    fn in_a_moment(&self) -> Time {
        self.sim.now().after(Duration::from_millis(1))
    }

    fn unwatch(&self, fd: Fd) {
        assert!(self.sim.watch(fd, Interest::NONE).is_ok());
    }

    /// Reports from inside a call of a method.
    fn report(&self, event: Event) {
        let relay = self.relay.borrow().clone();
        if let Some(relay) = relay {
            relay.event(event);
        }
    }
}

impl Host for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn now(&self) -> Time {
        self.0.sim.now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        let relay = Rc::new(Relay { host: Rc::clone(&self.0), sink });
        self.0.relay.replace(Some(Rc::clone(&relay)));
        self.0.sim.start(relay)?;
        if self.0.fault == Fault::StaysArmedWhenStopped && self.0.is_armed.get() {
            self.0.sim.arm();
        }
        if self.0.fault == Fault::KeepsWatchWhenStopped {
            let watched = self.0.watched.borrow();
            watched
                .iter()
                .try_for_each(|(fd, it)| self.0.sim.watch(*fd, *it))
                .map_err(HostError::new)?;
        }
        Ok(())
    }

    fn stop(&self) {
        self.0.left_behind.set(self.0.deadline.get());
        if self.0.fault != Fault::KeepsGuest {
            self.0.relay.take();
        }
        self.0.sim.stop();
    }

    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        if self.0.fault == Fault::ForgetsQuitForNestedRun {
            self.0.is_told_to_quit.set(false);
        }
        self.0.depth.set(self.0.depth.get() + 1);
        let outcome = self.0.sim.run(exec);
        self.0.depth.set(self.0.depth.get() - 1);
        if self.0.fault == Fault::QuitsEveryRun && self.0.depth.get() > 0 {
            self.0.sim.quit();
        }
        outcome
    }

    fn quit(&self) {
        self.0.is_told_to_quit.set(true);
        if !matches!(self.0.fault, Fault::QuitsAnEventLate | Fault::ForgetsQuitForNestedRun) {
            self.0.sim.quit();
        }
    }

    fn arm(&self) {
        self.0.is_armed.set(true);
        match self.0.fault {
            Fault::NeverArms => {}
            Fault::ReportsFromArm => self.0.report(Event::Ready),
            Fault::ArmsAfterHandler if self.0.is_handling.get() => {}
            _ => self.0.sim.arm(),
        }
    }

    fn disarm(&self) {
        self.0.is_armed.set(false);
        if self.0.fault != Fault::NeverDisarms {
            self.0.sim.disarm();
        }
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        let held = self.0.deadline.get();
        let kept = match (self.0.fault, deadline) {
            (Fault::RoundsDeadlineDown, Some(new)) => {
                Some(Time::from_nanos(new.as_nanos() / 1_000_000 * 1_000_000))
            }
            (Fault::IgnoresPastDeadline, Some(new)) => Some(new).filter(|new| *new > self.now()),
            (Fault::KeepsFirstDeadline, Some(new)) => held.or(Some(new)),
            (Fault::KeepsEarliestDeadline, Some(new)) => Some(held.unwrap_or(new).min(new)),
            (Fault::KeepsDeadlineWhenStopped, Some(new)) => {
                Some(self.0.left_behind.get().unwrap_or(new).min(new))
            }
            (Fault::KeepsLatestDeadline, Some(new)) => Some(held.unwrap_or(new).max(new)),
            (Fault::KeepsDeadlineTakenBack, None) => held,
            _ => deadline,
        };
        self.0.deadline.set(kept);
        self.0.sim.set_deadline(kept);
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        let held = self.0.watched.borrow().get(&fd).copied().unwrap_or_default();
        if self.0.fault == Fault::ForgetsWatchOfHandler
            && self.0.is_handling.get()
            && !interest.is_none()
        {
            return Ok(());
        }
        if interest.is_none() {
            self.0.watched.borrow_mut().remove(&fd);
        } else {
            self.0.watched.borrow_mut().insert(fd, interest);
        }
        match self.0.fault {
            Fault::ReportsEndedWatch if interest.is_none() => Ok(()),
            Fault::AddsInterest if !interest.is_none() => self.0.sim.watch(fd, held | interest),
            Fault::KeepsFirstInterest if !interest.is_none() && !held.is_none() => Ok(()),
            Fault::ReportsFromWatch => {
                self.0.sim.watch(fd, interest)?;
                poll(&[(fd, interest)], false)?
                    .into_iter()
                    .for_each(|(fd, ready)| self.0.report(Event::Fd(fd, ready)));
                Ok(())
            }
            _ => self.0.sim.watch(fd, interest),
        }
    }
}

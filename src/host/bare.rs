//! A host that is a run loop of its own, on poll(2): for a loop that has to go on where its own
//! host no longer can.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{Event, EventSink, Exec, Host, HostError, clock};
use crate::core::{Fd, Interest, Time};

/// Says what the fds are ready for, and waits for that as long as it is told to: without a time,
/// until one is.
pub type Wait = dyn Fn(&[(Fd, Interest)], Option<Duration>) -> io::Result<Vec<(Fd, Interest)>>;

/// The host without a run loop of anybody else's.
pub struct BareHost {
    armed: Cell<bool>,
    deadline: Cell<Option<Time>>,
    quit: Cell<bool>,
    watched: RefCell<BTreeMap<Fd, Interest>>,
    wait: Box<Wait>,
    sink: RefCell<Option<Rc<dyn EventSink>>>,
}

impl BareHost {
    /// A host that waits by `wait`.
    pub fn new(wait: Box<Wait>) -> BareHost {
        BareHost {
            armed: Cell::new(false),
            deadline: Cell::new(None),
            quit: Cell::new(false),
            watched: RefCell::default(),
            wait,
            sink: RefCell::new(None),
        }
    }

    fn report(&self, event: Event) {
        let sink = self.sink.borrow().clone();
        if let Some(sink) = sink.filter(|_| !self.quit.get()) {
            sink.event(event);
        }
    }

    fn patience(&self) -> Option<Duration> {
        if self.armed.get() {
            return Some(Duration::ZERO);
        }
        let left = self.deadline.get()?.as_nanos().saturating_sub(clock::now().as_nanos());
        Some(Duration::from_nanos(left))
    }

    /// One look at everything, after a wait if there is nothing to do.
    fn step(&self) -> Result<(), HostError> {
        let watched: Vec<_> =
            self.watched.borrow().iter().map(|(fd, interest)| (*fd, *interest)).collect();
        let was_armed = self.armed.get();
        let ready = match (self.wait)(&watched, self.patience()) {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Vec::new(),
            Err(error) => return Err(HostError::new(format!("poll failed: {error}"))),
        };
        for (fd, ready) in ready {
            let wanted = self.watched.borrow().get(&fd).copied().unwrap_or_default() & ready;
            if !wanted.is_none() {
                self.report(Event::Fd(fd, wanted));
            }
        }
        if self.deadline.get().is_some_and(|deadline| deadline <= clock::now()) && !self.quit.get()
        {
            self.deadline.set(None);
            self.report(Event::Deadline);
        }
        if was_armed && !self.quit.get() && self.armed.replace(false) {
            self.report(Event::Ready);
        }
        Ok(())
    }
}

impl Host for BareHost {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        self.sink.replace(Some(sink));
        Ok(())
    }

    fn stop(&self) {
        self.disarm();
        self.set_deadline(None);
        self.watched.borrow_mut().clear();
        let sink = self.sink.take();
        drop(sink);
    }

    fn run(&self, _exec: Exec) -> Result<i32, HostError> {
        // Only the innermost run is told to quit; one around it may have been told before.
        let around = self.quit.replace(false);
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.quit.get() {
            outcome = self.step();
        }
        self.quit.set(around);
        outcome.map(|()| 0)
    }

    fn quit(&self) {
        self.quit.set(true);
    }

    fn arm(&self) {
        self.armed.set(true);
    }

    fn disarm(&self) {
        self.armed.set(false);
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        self.deadline.set(deadline);
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        let mut watched = self.watched.borrow_mut();
        if interest.is_none() {
            watched.remove(&fd);
        } else {
            watched.insert(fd, interest);
        }
        Ok(())
    }
}

/// A host that can be left, between two runs and for good, for a bare one.
pub struct LeavableHost {
    host: Box<dyn Host>,
    bare: OnceCell<BareHost>,
}

impl LeavableHost {
    /// `host`, until it is left.
    pub fn new(host: Box<dyn Host>) -> LeavableHost {
        LeavableHost { host, bare: OnceCell::new() }
    }

    /// From now on the loop runs by itself, and waits by `wait`. Only while nothing is started.
    pub fn leave(&self, wait: Box<Wait>) {
        let _twice = self.bare.set(BareHost::new(wait));
    }

    fn current(&self) -> &dyn Host {
        match self.bare.get() {
            Some(bare) => bare,
            None => &*self.host,
        }
    }
}

impl Host for LeavableHost {
    // The one it was made for, which users chose.
    fn name(&self) -> &str {
        self.host.name()
    }
    fn now(&self) -> Time {
        self.current().now()
    }
    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        self.current().start(sink)
    }
    fn stop(&self) {
        self.current().stop();
    }
    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        self.current().run(exec)
    }
    fn quit(&self) {
        self.current().quit();
    }
    fn arm(&self) {
        self.current().arm();
    }
    fn disarm(&self) {
        self.current().disarm();
    }
    fn set_deadline(&self, deadline: Option<Time>) {
        self.current().set_deadline(deadline);
    }
    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        self.current().watch(fd, interest)
    }
}

//! A host whose clock is simulated: time passes only when there is nothing else to do, and then it
//! jumps.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::{Event, EventSink, Exec, Host, HostError};
use crate::core::{Fd, Interest, Time};
use crate::sys::poll;

/// Says what `fds` are ready for, blocking until one is if asked to.
pub type Poll = dyn Fn(&[(Fd, Interest)], bool) -> io::Result<Vec<(Fd, Interest)>>;

/// The simulated host. Its clock starts at zero.
///
/// Scripted, it knows only the readiness that [`script`](SimHost::script) announces. With real fds
/// it also looks at the fds themselves: before the clock jumps, and, when there is no deadline to
/// jump to, for as long as it takes.
pub struct SimHost {
    now: Cell<Time>,
    armed: Cell<bool>,
    deadline: Cell<Option<Time>>,
    quit: Cell<bool>,
    watched: RefCell<BTreeMap<Fd, Interest>>,
    script: RefCell<BTreeMap<Time, Vec<(Fd, Interest)>>>,
    poll: Option<Box<Poll>>,
    sink: RefCell<Option<Rc<dyn EventSink>>>,
    events: Cell<u64>,
}

impl SimHost {
    /// A host whose fds are numbers without meaning.
    pub fn scripted() -> SimHost {
        SimHost {
            now: Cell::new(Time::ZERO),
            armed: Cell::new(false),
            deadline: Cell::new(None),
            quit: Cell::new(false),
            watched: RefCell::default(),
            script: RefCell::default(),
            poll: None,
            sink: RefCell::new(None),
            events: Cell::new(0),
        }
    }

    /// A host that watches real fds by poll(2).
    pub fn with_real_fds() -> SimHost {
        SimHost::with_poll(Box::new(poll))
    }

    /// A host that watches real fds by a poll of the caller's.
    pub fn with_poll(poll: Box<Poll>) -> SimHost {
        SimHost { poll: Some(poll), ..SimHost::scripted() }
    }

    /// Lets `fd` become ready once, when the clock has reached `at`. What nobody watches then is
    /// forgotten.
    pub fn script(&self, at: Time, fd: Fd, ready: Interest) {
        self.script.borrow_mut().entry(at).or_default().push((fd, ready));
    }

    /// Moves the clock on by hand, as if the event under way had taken that long.
    pub fn advance(&self, to: Time) {
        self.now.set(self.now.get().max(to));
    }

    /// How many events were reported so far.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    fn report(&self, event: Event) {
        let sink = self.sink.borrow().clone();
        if let Some(sink) = sink {
            self.events.set(self.events.get() + 1);
            sink.event(event);
        }
    }

    /// The scripted readiness that has come by now and is watched for.
    fn scripted_now(&self) -> Vec<(Fd, Interest)> {
        let mut script = self.script.borrow_mut();
        let mut due = Vec::new();
        while let Some(entry) = script.first_entry().filter(|entry| *entry.key() <= self.now.get())
        {
            due.extend(entry.remove());
        }
        due
    }

    fn fds_ready(&self, block: bool) -> Result<Vec<(Fd, Interest)>, HostError> {
        let Some(poll) = &self.poll else { return Ok(Vec::new()) };
        let watched: Vec<_> =
            self.watched.borrow().iter().map(|(fd, interest)| (*fd, *interest)).collect();
        if watched.is_empty() {
            return Ok(Vec::new());
        }
        match poll(&watched, block) {
            Ok(ready) => Ok(ready),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(error) => Err(HostError::new(format!("poll failed: {error}"))),
        }
    }

    /// Reports what is ready and still watched for; whether there was anything.
    fn report_fds(&self, ready: Vec<(Fd, Interest)>) -> bool {
        let mut reported = false;
        for (fd, ready) in ready {
            let interest = self.watched.borrow().get(&fd).copied().unwrap_or_default();
            let wanted = interest & ready;
            if !wanted.is_none() && !self.quit.get() {
                reported = true;
                self.report(Event::Fd(fd, wanted));
            }
        }
        reported
    }

    /// Jumps to the next deadline or scripted readiness; false when there is none.
    fn jump(&self) -> bool {
        let scripted = self.script.borrow().first_key_value().map(|(at, _)| *at);
        let Some(next) = self.deadline.get().into_iter().chain(scripted).min() else {
            return false;
        };
        self.advance(next);
        true
    }

    fn report_deadline(&self) -> bool {
        let due = self.deadline.get().is_some_and(|deadline| deadline <= self.now.get());
        if due {
            self.deadline.set(None);
            self.report(Event::Deadline);
        }
        due
    }

    fn step(&self) -> Result<(), HostError> {
        if self.report_fds(self.scripted_now()) || self.report_fds(self.fds_ready(false)?) {
            return Ok(());
        }
        if self.armed.replace(false) {
            self.report(Event::Ready);
        } else if !self.report_deadline() && !self.jump() {
            let ready = self.fds_ready(true)?;
            if self.poll.is_none() || self.watched.borrow().is_empty() {
                return Err(HostError::new(
                    "nothing is left that could ever wake the simulated loop",
                ));
            }
            self.report_fds(ready);
        }
        Ok(())
    }
}

impl Host for SimHost {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn now(&self) -> Time {
        self.now.get()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::contract;
    use std::time::Duration;

    #[test]
    fn keeps_the_contract() {
        assert_eq!(contract::check(&SimHost::with_real_fds), Ok(()));
    }

    struct Log(RefCell<Vec<(u64, Event)>>, Rc<SimHost>);

    impl EventSink for Log {
        fn event(&self, event: Event) {
            self.0.borrow_mut().push((self.1.now().as_nanos(), event));
            if event == Event::Deadline {
                self.1.quit();
            }
        }
    }

    #[test]
    fn time_jumps_from_one_scripted_event_to_the_next() -> Result<(), HostError> {
        let host = Rc::new(SimHost::scripted());
        let log = Rc::new(Log(RefCell::default(), Rc::clone(&host)));
        host.start(Rc::clone(&log) as Rc<dyn EventSink>)?;
        host.watch(7, Interest::READ).map_err(HostError::new)?;
        host.script(Time::from_nanos(20), 7, Interest::BOTH);
        host.script(Time::from_nanos(30), 8, Interest::READ);
        host.set_deadline(Some(Time::ZERO.after(Duration::from_secs(3600))));
        host.arm();
        host.run(Exec::Drain)?;
        let expected = [
            (0, Event::Ready),
            (20, Event::Fd(7, Interest::READ)),
            (3_600_000_000_000, Event::Deadline),
        ];
        assert_eq!(log.0.borrow()[..], expected);
        host.stop();
        Ok(())
    }

    #[test]
    fn a_run_that_nothing_can_end_is_an_error() -> Result<(), HostError> {
        let host = Rc::new(SimHost::scripted());
        let log = Rc::new(Log(RefCell::default(), Rc::clone(&host)));
        host.start(log)?;
        assert!(host.run(Exec::Drain).is_err());
        host.stop();
        Ok(())
    }
}

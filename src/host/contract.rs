//! What every host must do, as a test that any host can be put to, also one written elsewhere.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Event, EventSink, Exec, Host};
use crate::core::{Fd, Interest, Time};
use crate::sys;

/// How long a clause waits for what a host owes it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Puts hosts made by `make` to the test, on the calling thread, whose run loop must be free.
///
/// # Errors
/// Names the first clause that the host breaks.
pub fn check<H: Host + 'static>(make: &dyn Fn() -> H) -> Result<(), String> {
    check_each(&|_| make())
}

/// As [`check`]; `make` is told the clause that it makes a host for: of a host that breaks one, the
/// run may never end.
///
/// # Errors
/// As [`check`].
pub fn check_each<H: Host + 'static>(make: &dyn Fn(&'static str) -> H) -> Result<(), String> {
    type Clause<H> = fn(&Subject<H>) -> Outcome;
    let clauses: [(&str, Clause<H>); 13] = [
        ("one arm gives one Ready", one_arm_gives_one_ready),
        ("disarm takes arm back", disarm_takes_arm_back),
        ("Ready can be asked for while it is handled", ready_is_re_armed_while_handled),
        ("Ready comes in a nested run", ready_comes_in_a_nested_run),
        ("quit ends the innermost run only", quit_ends_the_innermost_run),
        ("a deadline is never early", deadline_is_never_early),
        ("a past deadline comes at once", past_deadline_comes_at_once),
        ("a new deadline replaces the old one", new_deadline_replaces_the_old),
        ("an fd is reported for as long as it is ready", fd_is_reported_while_ready),
        ("interest can be changed and ended", interest_is_changed_and_ended),
        ("a deadline comes once, and not if taken back", deadline_comes_once),
        ("every event comes in a run nested in any event", every_event_comes_in_any_nested_run),
        ("a stopped host is silent and can be started again", stop_is_silent_and_start_again_works),
    ];
    for (clause, test) in clauses {
        let subject = Subject::new(make(clause));
        let outcome = subject.start().and_then(|()| test(&subject));
        subject.host.stop();
        let outcome = outcome.and_then(|()| subject.recorder.heard_no_strays());
        outcome.map_err(|reason| format!("{clause}: {reason}"))?;
    }
    Ok(())
}

type Outcome = Result<(), String>;
/// What a test wants done on an event; it is given the host.
type Reaction<H> = Box<dyn Fn(&H, Event)>;

/// A sink that records what comes and reacts as the test under way wants.
struct Recorder<H> {
    host: Rc<H>,
    seen: RefCell<Vec<Event>>,
    reaction: RefCell<Option<Rc<Reaction<H>>>>,
    is_running: Cell<bool>,
    /// What came while no run was under way.
    strays: RefCell<Vec<Event>>,
}

impl<H: Host> Recorder<H> {
    fn heard_no_strays(&self) -> Outcome {
        let strays = self.strays.borrow();
        ensure(strays.is_empty(), || format!("{strays:?} came from outside the run loop"))
    }
}

impl<H: Host> EventSink for Recorder<H> {
    fn event(&self, event: Event) {
        if !self.is_running.get() {
            self.strays.borrow_mut().push(event);
        }
        self.seen.borrow_mut().push(event);
        let reaction = self.reaction.borrow().clone();
        if let Some(reaction) = reaction {
            reaction(&self.host, event);
        }
    }
}

struct Subject<H> {
    host: Rc<H>,
    recorder: Rc<Recorder<H>>,
}

impl<H: Host + 'static> Subject<H> {
    fn new(host: H) -> Subject<H> {
        let host = Rc::new(host);
        let recorder = Recorder {
            host: Rc::clone(&host),
            seen: RefCell::default(),
            reaction: RefCell::default(),
            is_running: Cell::new(false),
            strays: RefCell::default(),
        };
        Subject { host, recorder: Rc::new(recorder) }
    }

    fn start(&self) -> Outcome {
        let sink: Rc<dyn EventSink> = Rc::clone(&self.recorder) as Rc<dyn EventSink>;
        self.host.start(sink).map_err(|error| error.to_string())
    }

    /// Runs until `reaction` quits, and gives back what was reported.
    fn run(&self, reaction: impl Fn(&H, Event) + 'static) -> Result<Vec<Event>, String> {
        self.recorder.seen.borrow_mut().clear();
        let reaction: Reaction<H> = Box::new(reaction);
        self.recorder.reaction.replace(Some(Rc::new(reaction)));
        self.recorder.is_running.set(true);
        let outcome = self.host.run(Exec::Drain).map_err(|error| error.to_string());
        self.recorder.is_running.set(false);
        self.recorder.reaction.replace(None);
        outcome?;
        Ok(self.recorder.seen.borrow().clone())
    }

    fn soon(&self, millis: u64) -> Time {
        self.host.now().after(Duration::from_millis(millis))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn quit_on_deadline<H: Host>(host: &H, event: Event) {
    if event == Event::Deadline {
        host.quit();
    }
}

fn one_arm_gives_one_ready<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    subject.host.arm();
    subject.host.set_deadline(Some(subject.soon(20)));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Ready, Event::Deadline], || format!("saw {seen:?}"))
}

fn disarm_takes_arm_back<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    subject.host.arm();
    subject.host.disarm();
    subject.host.set_deadline(Some(subject.soon(20)));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline], || format!("saw {seen:?}"))
}

fn ready_is_re_armed_while_handled<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    let left = Cell::new(3);
    subject.host.arm();
    let seen = subject.run(move |host, _| {
        left.set(left.get() - 1);
        if left.get() > 0 { host.arm() } else { host.quit() }
    })?;
    ensure(seen == [Event::Ready; 3], || format!("saw {seen:?}"))
}

fn ready_comes_in_a_nested_run<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    let depth = Rc::new(Cell::new(0));
    let deepest = Rc::clone(&depth);
    subject.host.arm();
    let seen = subject.run(move |host, _| {
        if depth.get() == 0 {
            depth.set(1);
            host.arm();
            let nested = host.run(Exec::Drain);
            depth.set(if nested.is_ok() { depth.get() + 10 } else { -100 });
        } else {
            depth.set(depth.get() + 1);
        }
        host.quit();
    })?;
    ensure(seen == [Event::Ready; 2] && deepest.get() == 12, || {
        format!("saw {seen:?}, and {} on the way out", deepest.get())
    })
}

fn quit_ends_the_innermost_run<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    let nest = |host: &H| {
        host.arm();
        if host.run(Exec::Drain).is_err() {
            host.quit();
        }
    };
    let count = Cell::new(0);
    subject.host.arm();
    subject.host.set_deadline(Some(subject.soon(1_000)));
    let seen = subject.run(move |host, event| {
        count.set(count.get() + 1);
        match count.get() {
            1 => {
                nest(host);
                host.arm();
            }
            3 if event == Event::Ready => {
                host.quit();
                nest(host);
            }
            _ => host.quit(),
        }
    })?;
    ensure(seen == [Event::Ready; 4], || format!("saw {seen:?}"))
}

fn deadline_is_never_early<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    for micros in [1, 300, 1_000, 1_700, 5_300] {
        let deadline = subject.host.now().after(Duration::from_micros(micros));
        subject.host.set_deadline(Some(deadline));
        let seen = subject.run(quit_on_deadline)?;
        let now = subject.host.now();
        ensure(now >= deadline, || format!("{:?} too early", deadline.since(now)))?;
        ensure(seen == [Event::Deadline], || format!("saw {seen:?}"))?;
    }
    Ok(())
}

fn past_deadline_comes_at_once<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    subject.host.set_deadline(Some(Time::ZERO));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline], || format!("saw {seen:?}"))
}

fn new_deadline_replaces_the_old<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    subject.host.set_deadline(Some(subject.soon(1)));
    let much_later = subject.soon(3_600_000);
    subject.host.set_deadline(Some(much_later));
    let later = subject.soon(20);
    subject.host.set_deadline(Some(later));
    let seen = subject.run(quit_on_deadline)?;
    let now = subject.host.now();
    ensure(seen == [Event::Deadline] && later <= now && now < much_later, || {
        format!("saw {seen:?} at {now:?}")
    })
}

fn deadline_comes_once<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    for (is_taken_back, is_set_anew, expected) in
        [(false, false, 1), (false, true, 2), (true, false, 0)]
    {
        let alarm = sys::alarm(Duration::from_millis(20)).map_err(|error| error.to_string())?;
        let fd = alarm.as_fd().as_raw_fd();
        watch(&*subject.host, fd, Interest::READ)?;
        subject.host.set_deadline(Some(subject.soon(1)));
        if is_taken_back {
            subject.host.set_deadline(None);
        }
        let (is_set_anew, came) = (Cell::new(is_set_anew), Cell::new(0));
        // On a machine that stands still for that long the alarm comes before a deadline.
        let patience = Instant::now() + PATIENCE;
        let seen = subject.run(move |host, event| {
            if event == Event::Deadline {
                came.set(came.get() + 1);
                if is_set_anew.take() {
                    host.set_deadline(Some(host.now().after(Duration::from_millis(1))));
                }
            } else if came.get() >= expected || Instant::now() >= patience {
                host.quit();
            }
        })?;
        watch(&*subject.host, fd, Interest::NONE)?;
        let deadlines = seen.iter().filter(|event| **event == Event::Deadline).count();
        ensure(deadlines == expected, || format!("{deadlines} came, not {expected}"))?;
    }
    Ok(())
}

fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    rustix::pipe::pipe().map_err(|error| error.to_string())
}

fn watch<H: Host>(host: &H, fd: Fd, interest: Interest) -> Outcome {
    host.watch(fd, interest).map_err(|error| error.to_string())
}

fn fd_is_reported_while_ready<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    let (reader, writer) = pipe()?;
    let fd = reader.as_raw_fd();
    watch(&*subject.host, fd, Interest::READ)?;
    subject.host.set_deadline(Some(subject.soon(20)));
    let silent = subject.run(quit_on_deadline)?;
    ensure(silent == [Event::Deadline], || format!("an empty pipe gave {silent:?}"))?;
    rustix::io::write(&writer, b"x").map_err(|error| error.to_string())?;
    let left = Cell::new(3);
    let seen = subject.run(move |host, _| {
        left.set(left.get() - 1);
        if left.get() == 0 {
            host.quit();
        }
    })?;
    watch(&*subject.host, fd, Interest::NONE)?;
    ensure(seen == [Event::Fd(fd, Interest::READ); 3], || format!("saw {seen:?}"))
}

fn interest_is_changed_and_ended<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    // Ready for both from the beginning.
    let (both, mut peer) = UnixStream::pair().map_err(|error| error.to_string())?;
    peer.write_all(b"x").map_err(|error| error.to_string())?;
    let fd = both.as_raw_fd();
    subject.host.set_deadline(Some(subject.soon(1_000)));
    watch(&*subject.host, fd, Interest::READ)?;
    watch(&*subject.host, fd, Interest::WRITE)?;
    let seen = subject.run(|host, _| host.quit())?;
    ensure(seen == [Event::Fd(fd, Interest::WRITE)], || format!("saw {seen:?}"))?;
    watch(&*subject.host, fd, Interest::NONE)?;
    subject.host.set_deadline(Some(subject.soon(20)));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline], || format!("saw {seen:?} after the watch ended"))
}

fn every_event_comes_in_any_nested_run<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    // Readable from the beginning.
    let pipe = pipe()?;
    rustix::io::write(&pipe.1, b"x").map_err(|error| error.to_string())?;
    let fd = pipe.0.as_raw_fd();
    let ask = move |host: &H, event: Event| match event {
        Event::Ready => host.arm(),
        Event::Deadline => host.set_deadline(Some(host.now())),
        Event::Fd(..) => drop(host.watch(fd, Interest::READ)),
    };
    let events = [Event::Ready, Event::Deadline, Event::Fd(fd, Interest::READ)];
    for (outer, inner) in events.iter().flat_map(|outer| events.map(|inner| (*outer, inner))) {
        ask(&subject.host, outer);
        let is_nested = Cell::new(false);
        let seen = subject.run(move |host, _| {
            if !is_nested.replace(true) {
                drop(host.watch(fd, Interest::NONE));
                ask(host, inner);
                drop(host.run(Exec::Drain));
            }
            drop(host.watch(fd, Interest::NONE));
            host.quit();
        })?;
        ensure(seen == [outer, inner], || format!("{inner:?} inside {outer:?} gave {seen:?}"))?;
    }
    Ok(())
}

fn stop_is_silent_and_start_again_works<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    let (_reader, writer) = pipe()?;
    watch(&*subject.host, writer.as_raw_fd(), Interest::WRITE)?;
    subject.host.arm();
    subject.host.set_deadline(Some(subject.soon(1)));
    subject.host.stop();
    ensure(Rc::strong_count(&subject.recorder) == 1, || "the sink was not let go".to_owned())?;
    subject.start()?;
    let later = subject.soon(20);
    subject.host.set_deadline(Some(later));
    let seen = subject.run(|host, _| host.quit())?;
    ensure(seen == [Event::Deadline] && subject.host.now() >= later, || {
        format!("what was asked for before stop still came: {seen:?}")
    })
}

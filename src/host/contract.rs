//! What every host must do, as a test that any host can be put to, also one written elsewhere.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Event, Exec, Guest, Host};
use crate::core::{Fd, Interest, Time};

/// Puts hosts made by `make` to the test, on the calling thread, whose run loop must be free.
///
/// # Errors
/// Names the first clause that the host breaks.
pub fn check<H: Host + 'static>(make: &dyn Fn() -> H) -> Result<(), String> {
    type Clause<H> = fn(&Subject<H>) -> Outcome;
    let clauses: [(&str, Clause<H>); 10] = [
        ("one arm gives one Ready", one_arm_gives_one_ready),
        ("disarm takes arm back", disarm_takes_arm_back),
        ("Ready can be asked for while it is handled", ready_is_re_armed_while_handled),
        ("Ready comes in a nested run", ready_comes_in_a_nested_run),
        ("a deadline is never early", deadline_is_never_early),
        ("a past deadline comes at once", past_deadline_comes_at_once),
        ("a new deadline replaces the old one", new_deadline_replaces_the_old),
        ("an fd is reported for as long as it is ready", fd_is_reported_while_ready),
        ("interest can be changed and ended", interest_is_changed_and_ended),
        ("a stopped host is silent and can be started again", stop_is_silent_and_start_again_works),
    ];
    for (clause, test) in clauses {
        let subject = Subject::new(make());
        let outcome = subject.start().and_then(|()| test(&subject));
        subject.host.stop();
        outcome.map_err(|reason| format!("{clause}: {reason}"))?;
    }
    Ok(())
}

type Outcome = Result<(), String>;
/// What a test wants done on an event; it is given the host.
type Reaction<H> = Box<dyn Fn(&H, Event)>;

/// A guest that records what comes and reacts as the test under way wants.
struct Recorder<H> {
    host: Rc<H>,
    seen: RefCell<Vec<Event>>,
    reaction: RefCell<Option<Rc<Reaction<H>>>>,
}

impl<H: Host> Guest for Recorder<H> {
    fn event(&self, event: Event) {
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
        let recorder = Recorder { host: Rc::clone(&host), seen: RefCell::default(), reaction: RefCell::default() };
        Subject { host, recorder: Rc::new(recorder) }
    }

    fn start(&self) -> Outcome {
        let guest: Rc<dyn Guest> = Rc::clone(&self.recorder) as Rc<dyn Guest>;
        self.host.start(guest).map_err(|error| error.to_string())
    }

    /// Runs until `reaction` quits, and gives back what was reported.
    fn run(&self, reaction: impl Fn(&H, Event) + 'static) -> Result<Vec<Event>, String> {
        self.recorder.seen.borrow_mut().clear();
        let reaction: Reaction<H> = Box::new(reaction);
        self.recorder.reaction.replace(Some(Rc::new(reaction)));
        self.host.run(Exec::Drain).map_err(|error| error.to_string())?;
        self.recorder.reaction.replace(None);
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
    subject.host.set_deadline(None);
    subject.host.set_deadline(Some(subject.soon(3_600_000)));
    let later = subject.soon(20);
    subject.host.set_deadline(Some(later));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline] && subject.host.now() >= later, || format!("saw {seen:?}"))
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
    let (_reader, writer) = pipe()?;
    let fd = writer.as_raw_fd();
    watch(&*subject.host, fd, Interest::READ)?;
    watch(&*subject.host, fd, Interest::WRITE)?;
    let seen = subject.run(|host, _| host.quit())?;
    ensure(seen == [Event::Fd(fd, Interest::WRITE)], || format!("saw {seen:?}"))?;
    watch(&*subject.host, fd, Interest::NONE)?;
    subject.host.set_deadline(Some(subject.soon(20)));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline], || format!("saw {seen:?} after the watch ended"))
}

fn stop_is_silent_and_start_again_works<H: Host + 'static>(subject: &Subject<H>) -> Outcome {
    subject.host.arm();
    subject.host.set_deadline(Some(subject.soon(1)));
    subject.host.stop();
    subject.start()?;
    subject.host.set_deadline(Some(subject.soon(20)));
    let seen = subject.run(quit_on_deadline)?;
    ensure(seen == [Event::Deadline], || format!("what was asked for before stop still came: {seen:?}"))
}

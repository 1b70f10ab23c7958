//! How late a 5 ms timer of Qt's is beside tasks that never stop yielding: what an animation would
//! notice.

#![allow(clippy::expect_used)] // What fails ends the bench.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use qtloop::core::Time;
use qtloop::host::{Event, EventSink, Host};
use qtloop::qt::{Application, QtHost};
use qtloop::{EventLoop, yield_now};

/// The timer's period.
const PERIOD: Duration = Duration::from_millis(5);

/// How many times it fires.
const FRAMES: usize = 1_000;

/// How many tasks yield.
const TASKS: [usize; 3] = [0, 1, 100];

/// A timer of Qt's own, beside the loop: a host that is asked for a deadline again and again, and
/// for nothing else.
struct Frames {
    timer: QtHost,
    due: Cell<Time>,
    lateness: RefCell<Vec<Duration>>,
    done: Box<dyn Fn()>,
}

impl Frames {
    fn next(&self) {
        self.due.set(self.timer.now().after(PERIOD));
        self.timer.set_deadline(Some(self.due.get()));
    }
}

impl EventSink for Frames {
    fn event(&self, _: Event) {
        self.lateness.borrow_mut().push(self.timer.now().since(self.due.get()));
        if self.lateness.borrow().len() < FRAMES { self.next() } else { (self.done)() }
    }
}

/// The lateness of each frame, sorted.
fn measure(tasks: usize) -> Vec<Duration> {
    let event_loop = Rc::new(EventLoop::new(QtHost::new()).expect("a loop"));
    let stopping = Rc::downgrade(&event_loop);
    let done = move || stopping.upgrade().expect("the loop runs").stop();
    let frames = Rc::new(Frames {
        timer: QtHost::new(),
        due: Cell::default(),
        lateness: RefCell::default(),
        done: Box::new(done),
    });
    for _ in 0..tasks {
        event_loop
            .spawn_local(async {
                loop {
                    yield_now().await;
                }
            })
            .detach();
    }
    frames.timer.start(Rc::clone(&frames) as Rc<dyn EventSink>).expect("an application");
    frames.next();
    event_loop.run().expect("a run");
    frames.timer.stop();
    let mut lateness = frames.lateness.take();
    lateness.sort();
    lateness
}

fn main() {
    let _application = Application::new().expect("the only application object");
    println!("tasks\tp50 us\tp99 us\tmax us");
    for tasks in TASKS {
        let lateness = measure(tasks);
        let at = |share: usize| lateness[(lateness.len() - 1) * share / 100].as_micros();
        println!("{tasks}\t{}\t{}\t{}", at(50), at(99), at(100));
    }
}

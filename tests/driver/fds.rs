//! Real pipes under random programs, watched either way: no byte waits unread, and no reader runs
//! in vain.

use std::cell::{Cell, RefCell};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use qtloop::core::{Direction, Fd, Interest, Time};
use qtloop::driver::{Client, Driver, Ended, Strategy as Watching};
use qtloop::host::Exec;
use qtloop::host::sim::SimHost;
use qtloop::sys::poll;

const PIPES: usize = 3;
/// So few that a busy loop does not yet lose the patience to look at its fds before each batch.
const MOST_ITEMS: usize = 60;

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    Watch(usize),
    Unwatch(usize),
    Soon(usize),
}

#[derive(Clone, Copy, Debug)]
enum Item {
    /// Reads a byte, and then does what the body says that has the pipe's number.
    Reader(usize),
    Body(usize),
    /// Watches all pipes again.
    WatchAll,
    Stop,
}

type Loop = Driver<SimHost, Pipes>;

struct Pipes {
    owner: RefCell<Weak<Loop>>,
    pipes: [(PipeReader, PipeWriter); PIPES],
    bodies: Vec<Vec<Op>>,
    /// For each pipe, how many bytes are in it.
    filled: [Cell<usize>; PIPES],
    items: Cell<usize>,
}

impl Client for Pipes {
    type Item = Item;
    type Suspended = ();

    fn run(&self, item: Item) -> ControlFlow<()> {
        let Some(driver) = self.owner.borrow().upgrade() else { return ControlFlow::Break(()) };
        match item {
            Item::Reader(nth) => {
                self.read(nth);
                self.perform(&driver, nth);
            }
            Item::Body(nth) => self.perform(&driver, nth),
            Item::WatchAll => (0..PIPES).for_each(|nth| self.watch(&driver, nth)),
            Item::Stop => driver.set_stopping(true),
        }
        ControlFlow::Continue(())
    }

    fn share(&self, item: &Item) -> Option<Item> {
        Some(*item)
    }
}

impl Pipes {
    fn new(bodies: Vec<Vec<Op>>) -> Pipes {
        let pipes = [(); PIPES].map(|()| pipe().expect("fds are left"));
        let filled = [(); PIPES].map(|()| Cell::new(0));
        Pipes { owner: RefCell::default(), pipes, bodies, filled, items: Cell::new(0) }
    }

    fn fd(&self, nth: usize) -> Fd {
        self.pipes[nth].0.as_raw_fd()
    }

    fn read(&self, nth: usize) {
        let ready = poll(&[(self.fd(nth), Interest::READ)], false).expect("the pipe is open");
        assert_eq!(ready.len(), 1, "a reader runs in vain");
        (&self.pipes[nth].0).read_exact(&mut [0]).expect("the pipe is open");
        self.filled[nth].set(self.filled[nth].get() - 1);
    }

    fn perform(&self, driver: &Loop, body: usize) {
        for op in &self.bodies[body % self.bodies.len()] {
            match *op {
                Op::Write(nth) if self.has_more_items() => {
                    (&self.pipes[nth].1).write_all(b"x").expect("the pipe is open");
                    self.filled[nth].set(self.filled[nth].get() + 1);
                }
                Op::Soon(body) if self.has_more_items() => driver.call_soon(Item::Body(body)),
                Op::Write(_) | Op::Soon(_) => {}
                Op::Watch(nth) => self.watch(driver, nth),
                Op::Unwatch(nth) => drop(driver.unwatch(self.fd(nth), Direction::Read)),
            }
        }
    }

    fn has_more_items(&self) -> bool {
        self.items.replace(self.items.get() + 1) < MOST_ITEMS
    }

    fn watch(&self, driver: &Loop, nth: usize) {
        driver.watch(self.fd(nth), Direction::Read, Item::Reader(nth)).expect("the pipe is open");
    }
}

/// A host that looks again before each report. One that tells what it saw before the event under
/// way is no use here: that may be over by then, and a reader does run in vain.
fn one_fd_at_a_time() -> SimHost {
    let looks = Cell::new(0);
    SimHost::with_poll(Box::new(move |fds, block| {
        looks.set(looks.get() + 1);
        assert!(looks.get() < 10_000, "events without end");
        Ok(poll(fds, block)?.into_iter().take(1).collect())
    }))
}

fn run(bodies: &[Vec<Op>], watching: Watching, slice: Duration) {
    let driver = Driver::new(one_fd_at_a_time(), Pipes::new(bodies.to_vec()), watching);
    let driver = driver.map(Rc::new).expect("fds are left");
    driver.client().owner.replace(Rc::downgrade(&driver));
    driver.set_slice(slice);
    driver.call_soon(Item::WatchAll);
    (0..bodies.len()).for_each(|body| driver.call_soon(Item::Body(body)));
    // The simulated clock only moves on when no pipe has anything to be read.
    driver.call_at(Time::from_secs(1.0), Item::WatchAll);
    driver.call_at(Time::from_secs(2.0), Item::Stop);
    assert!(matches!(driver.run(Exec::Drain), Ok(Ended::Stopped)));
    let pipes = driver.client();
    for nth in 0..PIPES {
        let is_watched = driver.unwatch(pipes.fd(nth), Direction::Read).is_some();
        assert!(!is_watched || pipes.filled[nth].get() == 0, "a byte waits unread");
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..PIPES).prop_map(Op::Write),
        2 => (0..PIPES).prop_map(Op::Watch),
        1 => (0..PIPES).prop_map(Op::Unwatch),
        4 => (0..8usize).prop_map(Op::Soon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_byte_finds_its_reader(bodies in vec(vec(op(), 0..6), 1..6), is_sliced: bool) {
        for watching in [Watching::Set, Watching::Notifier] {
            let slice = if is_sliced { Duration::ZERO } else { Duration::from_secs(3600) };
            run(&bodies, watching, slice);
        }
    }
}

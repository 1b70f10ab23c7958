//! An item that panics takes nothing with it: neither the run, nor what a nested turn had put
//! aside, nor the items behind it.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use qtloop::core::{Phase, Time};
use qtloop::driver::{Client, Driver, Ended, Strategy};
use qtloop::host::sim::SimHost;
use qtloop::host::{Exec, Host};

type Loop = Driver<SimHost, Names>;

/// Items are names, and a function says what they do.
struct Names {
    owner: RefCell<Weak<Loop>>,
    act: fn(&Loop, &'static str),
    log: RefCell<Vec<&'static str>>,
    /// How many turns have put aside what was under way.
    suspended: Cell<u32>,
    /// Whether the item named "blocked" cannot run.
    is_obstructed: Cell<bool>,
}

impl Client for Names {
    type Item = &'static str;
    type Suspended = u32;

    fn run(&self, item: &'static str) -> ControlFlow<()> {
        let driver = self.owner.borrow().upgrade().expect("the loop runs");
        self.log.borrow_mut().push(item);
        match item {
            "panic" => panic!("as it is meant to"),
            "stop" => driver.set_stopping(true),
            "quit" => driver.host().quit(),
            other => (self.act)(&driver, other),
        }
        ControlFlow::Continue(())
    }

    fn suspend(&self) -> u32 {
        self.suspended.update(|turns| turns + 1);
        self.suspended.get()
    }

    fn resume(&self, suspended: u32) {
        assert_eq!(self.suspended.get(), suspended, "the innermost turn ends first");
        self.suspended.set(suspended - 1);
    }

    fn admits(&self, item: &&'static str) -> bool {
        *item != "blocked" || !self.is_obstructed.get()
    }

    fn share(&self, item: &&'static str) -> Option<&'static str> {
        Some(*item)
    }
}

fn new(act: fn(&Loop, &'static str)) -> Rc<Loop> {
    let client = Names {
        owner: RefCell::default(),
        act,
        log: RefCell::default(),
        suspended: Cell::new(0),
        is_obstructed: Cell::new(false),
    };
    let driver = Rc::new(
        Driver::new(SimHost::with_real_fds(), client, Strategy::Set).expect("fds are left"),
    );
    driver.client().owner.replace(Rc::downgrade(&driver));
    driver
}

fn panics(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

/// Runs the loop to its end, and says what ran.
fn run(driver: &Rc<Loop>) -> Vec<&'static str> {
    assert!(matches!(driver.run(Exec::Drain), Ok(Ended::Stopped)));
    assert_eq!(driver.client().suspended.get(), 0);
    driver.client().log.take()
}

/// Runs a nested loop in which an item panics.
fn nest(driver: &Loop) {
    driver.call_soon("panic");
    assert!(panics(|| assert!(driver.host().run(Exec::Drain).is_ok())));
}

#[test]
fn the_loop_can_run_again_and_the_items_behind_have_their_turn() {
    let driver = new(|_, _| {});
    ["panic", "a", "panic", "b", "stop"].into_iter().for_each(|item| driver.call_soon(item));
    driver.call_at(Time::from_nanos(5), "timer");
    for _ in 0..2 {
        assert!(panics(|| drop(driver.run(Exec::Drain))));
        assert_eq!((driver.phase(), driver.client().suspended.get()), (Phase::Idle, 0));
    }
    assert_eq!(run(&driver), ["panic", "a", "panic", "b", "stop"]);
    driver.call_at(Time::from_nanos(9), "stop");
    assert_eq!(run(&driver), ["timer", "stop"]);
    assert!(driver.close().is_ok());
}

#[test]
fn what_a_nested_turn_has_put_aside_goes_on() {
    let driver = new(|driver, item| {
        if item == "nest" {
            let around = driver.client().suspended.get();
            nest(driver);
            assert_eq!(driver.client().suspended.get(), around);
            // More often than turns may be on the stack.
            let is_enough = driver.client().log.borrow().len() >= 300;
            driver.call_soon(if is_enough { "stop" } else { "nest" });
        }
    });
    driver.call_soon("nest");
    let ran = run(&driver);
    assert_eq!(ran.iter().filter(|item| **item == "panic").count(), 150);
}

#[test]
fn what_could_not_run_in_a_nested_turn_runs_when_the_item_around_it_has_panicked() {
    let driver = new(|driver, item| match item {
        "catch" => {
            driver.call_soon("around");
            assert!(panics(|| assert!(driver.host().run(Exec::Drain).is_ok())));
        }
        "around" => {
            driver.client().is_obstructed.set(true);
            driver.call_soon("blocked");
            driver.call_at(Time::from_nanos(5), "quit");
            assert!(driver.host().run(Exec::Drain).is_ok());
            driver.client().is_obstructed.set(false);
            panic!("as it is meant to");
        }
        _ => {}
    });
    driver.call_soon("catch");
    driver.call_at(Time::from_nanos(10), "stop");
    assert_eq!(run(&driver), ["catch", "around", "quit", "blocked", "stop"]);
}

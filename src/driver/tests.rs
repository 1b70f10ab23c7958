//! The driver on the simulated host.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::{Rc, Weak};
use std::thread;
use std::time::Duration;

// Thousands of items would take Miri minutes.
#[cfg(not(miri))]
mod flood;

use super::turn::MAX_DEPTH;
#[cfg(not(miri))]
use super::turn::{FIRST_BREADTH, FLOOD};
use super::{Client, Driver, Ended, RunError, Strategy};
use crate::core::{Direction, Interest, Phase, Refused, Time};
use crate::host::sim::SimHost;
use crate::host::{Exec, Host};

type Action = Box<dyn Fn(&Loop) -> ControlFlow<()>>;
type Loop = Driver<SimHost, Script>;

/// Items are names; a table says what an item of that name does.
#[derive(Default)]
struct Script {
    driver: RefCell<Weak<Loop>>,
    actions: RefCell<Vec<(&'static str, Rc<Action>)>>,
    log: RefCell<Vec<(u64, &'static str)>>,
    /// Whether the item named "blocked" cannot run.
    obstructed: Cell<bool>,
}

impl Client for Script {
    type Item = &'static str;
    type Suspended = ();

    fn run(&self, item: &'static str) -> ControlFlow<()> {
        let Some(driver) = self.driver.borrow().upgrade() else { return ControlFlow::Break(()) };
        self.log.borrow_mut().push((driver.now().as_nanos(), item));
        let action = self
            .actions
            .borrow()
            .iter()
            .find(|(name, _)| *name == item)
            .map(|(_, action)| Rc::clone(action));
        action.map_or(ControlFlow::Continue(()), |action| action(&driver))
    }

    fn admits(&self, item: &&'static str) -> bool {
        *item != "blocked" || !self.obstructed.get()
    }

    fn share(&self, item: &&'static str) -> Option<&'static str> {
        (*item != "forsaken").then_some(*item)
    }
}

fn new(strategy: Strategy) -> Rc<Loop> {
    let host =
        if strategy == Strategy::Set { SimHost::with_real_fds() } else { SimHost::scripted() };
    // With Miri an epoll set cannot be in another one.
    let strategy = if cfg!(miri) { Strategy::Notifier } else { strategy };
    let driver = Driver::new(host, Script::default(), strategy).map(Rc::new).expect("fds are left");
    driver.client().driver.replace(Rc::downgrade(&driver));
    driver.client().actions.borrow_mut().push((
        "stop",
        Rc::new(Box::new(|driver: &Loop| {
            driver.set_stopping(true);
            ControlFlow::Continue(())
        })),
    ));
    driver
}

fn on(driver: &Loop, name: &'static str, action: impl Fn(&Loop) -> ControlFlow<()> + 'static) {
    driver.client().actions.borrow_mut().push((name, Rc::new(Box::new(action))));
}

fn run(driver: &Rc<Loop>) -> Vec<(u64, &'static str)> {
    assert!(matches!(driver.run(Exec::Drain), Ok(Ended::Stopped)));
    driver.client().log.take()
}

fn names(log: &[(u64, &'static str)]) -> Vec<&'static str> {
    log.iter().map(|(_, name)| *name).collect()
}

#[test]
fn stop_before_a_run_makes_it_one_iteration_long() {
    let driver = new(Strategy::Set);
    on(&driver, "a", |driver| {
        driver.call_soon("b");
        ControlFlow::Continue(())
    });
    driver.call_soon("a");
    driver.set_stopping(true);
    assert_eq!(names(&run(&driver)), ["a"]);
    driver.set_stopping(true);
    assert_eq!(names(&run(&driver)), ["b"]);
    driver.set_stopping(true);
    assert_eq!(names(&run(&driver)), [""; 0]);
}

#[test]
fn an_item_that_breaks_leaves_the_rest_for_the_next_run() {
    let driver = new(Strategy::Set);
    on(&driver, "exit", |_| ControlFlow::Break(()));
    ["exit", "a", "stop"].iter().for_each(|name| driver.call_soon(name));
    assert_eq!(names(&run(&driver)), ["exit"]);
    assert_eq!(names(&run(&driver)), ["a", "stop"]);
}

#[test]
fn timers_fire_on_time_and_in_order() {
    let driver = new(Strategy::Set);
    driver.call_at(Time::from_nanos(500), "stop");
    driver.call_at(Time::from_nanos(300), "b");
    let cancelled = driver.call_at(Time::from_nanos(200), "never");
    driver.call_at(Time::from_nanos(300), "c");
    driver.call_soon("a");
    assert_eq!(driver.cancel(cancelled), Some("never"));
    assert_eq!(run(&driver), [(0, "a"), (300, "b"), (300, "c"), (500, "stop")]);
}

#[test]
fn a_timer_set_by_an_earlier_event_is_told_to_the_host() {
    let driver = new(Strategy::Set);
    on(&driver, "a", |driver| {
        driver.call_at(Time::from_nanos(50), "stop");
        ControlFlow::Continue(())
    });
    driver.call_at(Time::from_nanos(10), "a");
    assert_eq!(run(&driver), [(10, "a"), (50, "stop")]);
}

#[test]
fn scripted_fds_run_their_items_once_each() {
    let driver = new(Strategy::Notifier);
    // The numbers are real, since the driver asks whether the fd is open. The host knows only what
    // is scripted.
    assert!(matches!(driver.watch(0, Direction::Read, "in"), Ok(None)));
    assert!(matches!(driver.watch(0, Direction::Write, "out"), Ok(None)));
    assert!(matches!(driver.watch(1, Direction::Write, "forsaken"), Ok(None)));
    driver.host().script(Time::from_nanos(10), 0, Interest::READ);
    driver.host().script(Time::from_nanos(20), 0, Interest::BOTH);
    driver.host().script(Time::from_nanos(30), 1, Interest::WRITE);
    driver.call_at(Time::from_nanos(40), "stop");
    assert_eq!(run(&driver), [(10, "in"), (20, "in"), (20, "out"), (40, "stop")]);
    assert_eq!(driver.unwatch(0, Direction::Read), Some("in"));
    assert_eq!(
        driver.unwatch(1, Direction::Write),
        None,
        "an item that nobody waits for is let go"
    );
}

#[test]
#[cfg_attr(miri, ignore = "it counts what an epoll set reports")]
fn an_fd_is_expected_again_and_again_and_forgotten_if_it_is_not() {
    let (reader, writer) = rustix::pipe::pipe().expect("fds are left");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let driver = new(Strategy::Set);
    on(&driver, "expected", move |driver| {
        assert_eq!(driver.expect_no_more(fd, Direction::Read, |item| *item == "another"), None);
        assert_eq!(
            driver.expect_no_more(fd, Direction::Read, |item| *item == "expected"),
            Some("expected")
        );
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    for _ in 0..3 {
        assert!(matches!(driver.expect(fd, Direction::Read, "expected"), Ok(None)));
        rustix::io::write(&writer, b"x").expect("there is room");
        assert_eq!(names(&run(&driver)), ["expected"]);
        assert_eq!(driver.watched_fds(), 0);
    }
    // The fd is ready and nobody waits. That is noticed once. Then the fd is out of the set, and is
    // watched like any other.
    rustix::io::write(&writer, b"x").expect("there is room");
    driver.call_at(Time::from_secs(1.0), "stop");
    assert_eq!(names(&run(&driver)), ["stop"]);
    assert!(matches!(driver.watch(fd, Direction::Read, "watched"), Ok(None)));
    let times = Cell::new(0);
    on(&driver, "watched", move |driver| {
        times.set(times.get() + 1);
        driver.set_stopping(times.get() == 3);
        ControlFlow::Continue(())
    });
    assert_eq!(names(&run(&driver)), ["watched"; 3]);
    assert!(matches!(driver.expect(fd, Direction::Read, "expected"), Ok(Some("watched"))));
    assert_eq!(names(&run(&driver)), ["expected"], "it is ready already");
}

#[test]
#[cfg_attr(qtloop_libkqueue, ignore = "libkqueue is not told that a number was closed")]
#[cfg_attr(miri, ignore = "the epoll set notices it")]
fn a_successor_under_the_same_number_has_none_of_its_predecessors_watches() {
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    let pair = || {
        UnixStream::pair().map(|(left, right)| (OwnedFd::from(left), right)).expect("fds are left")
    };
    let ((mut number, _peer), (successor, _other)) = (pair(), pair());
    let (driver, fd) = (new(Strategy::Set), number.as_raw_fd());
    assert!(matches!(driver.watch(fd, Direction::Read, "former reader"), Ok(None)));
    assert!(matches!(driver.watch(fd, Direction::Write, "former writer"), Ok(None)));
    rustix::io::dup2(&successor, &mut number).expect("both are open");
    assert!(matches!(driver.watch(fd, Direction::Read, "reader"), Ok(Some("former reader"))));
    assert_eq!(driver.interest(fd), Interest::READ);
    assert_eq!(driver.unwatch_if(fd, Direction::Read, |item| *item == "former reader"), None);
    driver.call_at(Time::from_secs(1.0), "stop");
    assert_eq!(names(&run(&driver)), ["stop"], "the successor has room, which nobody asked about");
    assert_eq!(driver.unwatch_if(fd, Direction::Read, |item| *item == "reader"), Some("reader"));
}

#[test]
fn the_host_is_told_of_a_watch_by_its_own_thread() {
    let driver = new(Strategy::Notifier);
    on(&driver, "elsewhere", |driver| {
        let thread = driver.thread.replace(0);
        assert!(matches!(driver.watch(0, Direction::Read, "readable"), Ok(None)));
        driver.thread.set(thread);
        assert_eq!(*driver.untold.borrow(), [0]);
        ControlFlow::Continue(())
    });
    driver.call_soon("elsewhere");
    driver.host().script(Time::from_nanos(10), 0, Interest::READ);
    driver.call_at(Time::from_nanos(20), "stop");
    assert_eq!(names(&run(&driver)), ["elsewhere", "readable", "stop"]);
    assert!(driver.untold.borrow().is_empty());
}

#[test]
fn a_turn_ends_with_its_slice_and_the_batch_goes_on() {
    let driver = new(Strategy::Set);
    driver.set_slice(Duration::from_nanos(100));
    on(&driver, "slow", |driver| {
        driver.host().advance(driver.now().after(Duration::from_nanos(60)));
        ControlFlow::Continue(())
    });
    (0..4).for_each(|_| driver.call_soon("slow"));
    driver.call_soon("stop");
    assert_eq!(run(&driver).len(), 5);
    let counters = driver.counters();
    assert_eq!((counters.items, counters.turns, counters.overruns), (5, 3, 2));
}

/// The simulated host reports an fd whenever it is ready. A turn whose slice is spent is followed
/// by an event that causes no turn, so that the host gets to its own timers.
#[test]
#[cfg_attr(miri, ignore = "the host polls an epoll set")]
fn an_fd_causes_no_turn_right_after_a_spent_slice() {
    let (reader, writer) = rustix::pipe::pipe().expect("fds are left");
    rustix::io::write(&writer, b"x").expect("there is room");
    let driver = new(Strategy::Set);
    driver.set_slice(Duration::from_nanos(100));
    on(&driver, "slow", |driver| {
        driver.host().advance(driver.now().after(Duration::from_nanos(60)));
        let stops = driver.now() > Time::from_nanos(1000);
        driver.call_soon(if stops { "stop" } else { "slow" });
        ControlFlow::Continue(())
    });
    let fd = std::os::fd::AsRawFd::as_raw_fd(&reader);
    assert!(matches!(driver.watch(fd, Direction::Read, "readable"), Ok(None)));
    driver.call_soon("slow");
    assert!(names(&run(&driver)).contains(&"readable"));
    let counters = driver.counters();
    assert!(counters.overruns > 5);
    assert_eq!(driver.host().events() - counters.turns, counters.overruns);
}

/// The slice ends between the wish to stop and the end of the iteration, and the host's loop is
/// ended just then.
#[test]
fn a_wish_to_stop_outlives_a_run_that_the_host_has_ended() {
    let driver = new(Strategy::Set);
    driver.set_slice(Duration::from_nanos(100));
    on(&driver, "quit", |driver| {
        driver.host().quit();
        take(driver, 1_000)
    });
    ["stop", "quit"].iter().for_each(|name| driver.call_soon(name));
    (0..100).for_each(|_| driver.call_soon("rest"));
    assert!(matches!(driver.run(Exec::Application), Ok(Ended::HostQuit(0))));
    let first = names(&driver.client().log.take());
    let second = names(&run(&driver));
    assert_eq!(first[..2], ["stop", "quit"]);
    assert!(!second.is_empty());
    assert_eq!([&first[2..], &second].concat(), ["rest"; 100]);
    assert!(!driver.is_stopping());
}

/// An item that takes this long.
fn take(driver: &Loop, nanos: u64) -> ControlFlow<()> {
    driver.host().advance(driver.now().after(Duration::from_nanos(nanos)));
    ControlFlow::Continue(())
}

#[test]
fn a_timer_is_as_late_as_what_ran_before_it_was_long() {
    let driver = new(Strategy::Set);
    on(&driver, "slow", |driver| take(driver, 5_000));
    driver.call_at(Time::from_nanos(1_000), "slow");
    driver.call_at(Time::from_nanos(2_000), "late");
    driver.call_at(Time::from_nanos(9_000), "stop");
    driver.call_at(Time::NEVER, "never");
    assert_eq!(run(&driver), [(1_000, "slow"), (6_000, "late"), (9_000, "stop")]);
    let lateness = driver.counters().lateness;
    assert_eq!((lateness.counts()[0], lateness.counts()[2]), (2, 1), "4 us is in the third bucket");
    assert_eq!(
        (lateness.longest(), lateness.total()),
        (Duration::from_micros(4), Duration::from_micros(4))
    );
}

#[test]
fn a_turn_is_as_long_as_its_items_together() {
    let driver = new(Strategy::Set);
    on(&driver, "slow", |driver| take(driver, 3_000));
    ["slow", "slow"].iter().for_each(|item| driver.call_soon(item));
    driver.call_at(Time::from_nanos(50_000), "stop");
    run(&driver);
    let lengths = driver.counters().turn_lengths;
    assert_eq!(lengths.counts().iter().sum::<u64>(), 2);
    assert_eq!(
        (lengths.longest(), lengths.total()),
        (Duration::from_micros(6), Duration::from_micros(6))
    );
}

#[test]
fn a_nested_loop_does_not_make_the_turn_around_it_long() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        driver.call_at(Time::from_nanos(900_000), "unnest");
        assert!(driver.host().run(Exec::Drain).is_ok());
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", |driver| {
        driver.host().quit();
        take(driver, 7_000)
    });
    driver.call_soon("nest");
    driver.call_at(Time::from_nanos(1_000_000), "stop");
    run(&driver);
    assert_eq!(driver.counters().turn_lengths.longest(), Duration::from_micros(7));
}

#[test]
fn everything_goes_on_in_a_nested_run() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        driver.call_soon("inner");
        driver.call_at(Time::from_nanos(70), "unnest");
        assert!(driver.host().run(Exec::Drain).is_ok());
        driver.call_soon("after");
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", |driver| {
        driver.host().quit();
        ControlFlow::Continue(())
    });
    on(&driver, "after", |driver| {
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    driver.call_soon("nest");
    driver.call_soon("sibling");
    let expected = [(0, "nest"), (0, "sibling"), (0, "inner"), (70, "unnest"), (70, "after")];
    assert_eq!(run(&driver), expected);
}

#[test]
fn an_idle_loop_gets_no_events() {
    let driver = new(Strategy::Set);
    driver.call_at(Time::from_secs(3600.0), "stop");
    driver.call_soon("a");
    run(&driver);
    assert_eq!(driver.host().events(), 2);
}

#[test]
fn other_threads_are_heard_in_order_and_wake_a_sleeping_loop() {
    let driver = new(Strategy::Set);
    let remote = driver.remote().clone();
    remote.send("first");
    driver.call_soon("second");
    let sender = thread::spawn(move || {
        remote.send("third");
        remote.send("stop");
    });
    assert_eq!(names(&run(&driver)), ["first", "second", "third", "stop"]);
    assert!(sender.join().is_ok());
}

#[test]
fn closing_gives_everything_back() {
    let driver = new(Strategy::Set);
    driver.call_soon("ready");
    driver.call_at(Time::NEVER, "timer");
    driver.remote().send("remote");
    assert!(matches!(driver.watch(0, Direction::Read, "reader"), Ok(None) | Err(_)));
    let mut items = driver.close().expect("the loop is idle");
    items.retain(|item| *item != "reader");
    assert_eq!(items, ["ready", "timer", "remote"]);
    assert_eq!(driver.phase(), Phase::Closed);
    assert!(matches!(driver.run(Exec::Drain), Err(RunError::Refused(Refused::Closed))));
}

#[test]
fn a_stop_in_the_last_moment_of_a_slice_is_not_lost() {
    let driver = new(Strategy::Set);
    driver.set_slice(Duration::from_nanos(100));
    on(&driver, "slow stop", |driver| {
        driver.set_stopping(true);
        driver.host().advance(driver.now().after(Duration::from_nanos(200)));
        ControlFlow::Continue(())
    });
    driver.call_soon("slow stop");
    assert_eq!(names(&run(&driver)), ["slow stop"]);
}

#[test]
fn other_threads_are_heard_in_a_nested_run() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        let remote = driver.remote().clone();
        let sender = thread::spawn(move || remote.send("unnest"));
        assert!(driver.host().run(Exec::Drain).is_ok() && sender.join().is_ok());
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", |driver| {
        driver.host().quit();
        ControlFlow::Continue(())
    });
    driver.call_at(Time::from_nanos(1), "nest");
    assert_eq!(names(&run(&driver)), ["nest", "unnest"]);
}

#[test]
fn a_wake_spent_in_the_middle_of_a_turn_leaves_a_nested_run_awake() {
    let (reader, writer) = rustix::pipe::pipe().expect("fds are left");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let driver = new(Strategy::Set);
    // The fd that is ready brings a turn, and the host need not be armed for it. The look before
    // the second batch spends the wake.
    on(&driver, "readable", move |driver| {
        driver.unwatch(fd, Direction::Read);
        driver.remote().send("nest");
        ControlFlow::Continue(())
    });
    on(&driver, "nest", |driver| {
        let remote = driver.remote().clone();
        assert!(thread::spawn(move || remote.send("unnest")).join().is_ok());
        assert!(driver.host().run(Exec::Drain).is_ok());
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", quit);
    assert!(matches!(driver.watch(fd, Direction::Read, "readable"), Ok(None)));
    rustix::io::write(&writer, b"x").expect("there is room");
    // Unless another thread wakes it, the nested run sleeps until then.
    driver.call_at(Time::from_secs(1.0), "late");
    assert_eq!(run(&driver), [(0, "readable"), (0, "nest"), (0, "unnest")]);
}

#[test]
fn timers_go_on_in_a_nested_run_that_a_timer_started() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        assert!(driver.host().run(Exec::Drain).is_ok());
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", |driver| {
        driver.host().quit();
        ControlFlow::Continue(())
    });
    driver.call_at(Time::from_nanos(1), "nest");
    driver.call_at(Time::from_nanos(9), "unnest");
    assert_eq!(run(&driver), [(1, "nest"), (9, "unnest")]);
}

#[test]
fn a_timer_that_is_due_runs_in_the_next_iteration() {
    let driver = new(Strategy::Set);
    on(&driver, "a", |driver| {
        driver.host().advance(driver.now().after(Duration::from_nanos(10)));
        driver.call_at(driver.now(), "due");
        driver.call_soon("b");
        ControlFlow::Continue(())
    });
    on(&driver, "b", |driver| {
        driver.call_soon("c");
        ControlFlow::Continue(())
    });
    on(&driver, "c", |driver| {
        driver.call_soon("stop");
        ControlFlow::Continue(())
    });
    ["x", "a"].iter().for_each(|name| driver.call_soon(name));
    assert_eq!(names(&run(&driver)), ["x", "a", "b", "due", "c", "stop"]);
}

#[test]
fn an_item_that_breaks_in_a_nested_run_ends_the_run_around_it() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        assert!(driver.host().run(Exec::Drain).is_ok());
        ControlFlow::Continue(())
    });
    on(&driver, "exit", |_| ControlFlow::Break(()));
    ["nest", "exit", "a"].iter().for_each(|name| driver.call_soon(name));
    assert_eq!(names(&run(&driver)), ["nest", "exit"]);
}

#[test]
fn what_cannot_run_in_a_nested_run_runs_after_it() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        driver.client().obstructed.set(true);
        assert!(driver.host().run(Exec::Drain).is_ok());
        driver.client().obstructed.set(false);
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", |driver| {
        assert_eq!(driver.pending().0, 2);
        driver.host().quit();
        ControlFlow::Continue(())
    });
    ["nest", "blocked", "unnest", "a"].iter().for_each(|name| driver.call_soon(name));
    driver.call_at(Time::from_nanos(1), "stop");
    assert_eq!(names(&run(&driver)), ["nest", "unnest", "a", "blocked", "stop"]);
}

#[test]
fn beyond_the_deepest_turn_nothing_runs_until_the_stack_unwinds() {
    let driver = new(Strategy::Notifier);
    let depths: Rc<RefCell<(u32, Vec<u32>)>> = Rc::default();
    let seen = Rc::clone(&depths);
    on(&driver, "deeper", move |driver| {
        let depth = {
            let (depth, all) = &mut *seen.borrow_mut();
            *depth += 1;
            all.push(*depth);
            if all.len() < 150 {
                driver.call_soon("deeper");
            }
            *depth
        };
        // If nothing is served, the simulated host has nothing left that could end its run.
        let outcome = driver.host().run(Exec::Drain);
        assert!(depth < MAX_DEPTH || outcome.is_err());
        seen.borrow_mut().0 -= 1;
        ControlFlow::Continue(())
    });
    driver.call_soon("deeper");
    assert!(driver.run(Exec::Drain).is_err());
    let (depth, all) = &*depths.borrow();
    assert_eq!((*depth, all.len(), all.iter().max()), (0, 150, Some(&MAX_DEPTH)));
}

fn quit(driver: &Loop) -> ControlFlow<()> {
    driver.host().quit();
    ControlFlow::Continue(())
}

#[test]
fn an_attached_loop_lives_in_the_runs_of_others() {
    let driver = new(Strategy::Set);
    on(&driver, "quit", quit);
    driver.call_soon("a");
    assert!(driver.attach().is_ok());
    assert!(matches!(driver.attach(), Err(RunError::Refused(Refused::Running))));
    assert!(matches!(driver.run(Exec::Drain), Err(RunError::Refused(Refused::Running))));
    driver.call_soon("quit");
    driver.call_soon("b");
    assert!(driver.host().run(Exec::Application).is_ok());
    driver.call_at(Time::from_nanos(5), "quit");
    assert!(driver.host().run(Exec::Application).is_ok());
    assert!(driver.detach().is_ok() && driver.detach().is_ok());
    assert_eq!(driver.client().log.take(), [(0, "a"), (0, "quit"), (0, "b"), (5, "quit")]);
    driver.call_soon("stop");
    assert_eq!(names(&run(&driver)), ["stop"]);
}

#[test]
fn what_ends_a_run_ends_the_loop_that_carries_an_attached_one() {
    let driver = new(Strategy::Set);
    on(&driver, "exit", |_| ControlFlow::Break(()));
    on(&driver, "detach", |driver| {
        assert_eq!(driver.detach(), Err(Refused::Busy));
        ControlFlow::Continue(())
    });
    assert!(driver.attach().is_ok());
    for ended_by in [["a", "exit"], ["b", "stop"], ["detach", "exit"]] {
        ended_by.iter().for_each(|name| driver.call_soon(name));
        assert!(driver.host().run(Exec::Application).is_ok());
    }
    assert!(driver.detach().is_ok());
    assert_eq!(names(&driver.client().log.take()), ["a", "exit", "b", "stop", "detach", "exit"]);
}

#[test]
fn what_was_put_aside_outlives_an_item_that_breaks() {
    let driver = new(Strategy::Notifier);
    on(&driver, "nest and exit", |driver| {
        driver.client().obstructed.set(true);
        assert!(driver.host().run(Exec::Drain).is_ok());
        driver.client().obstructed.set(false);
        ControlFlow::Break(())
    });
    on(&driver, "unnest", quit);
    on(&driver, "blocked", quit);
    assert!(driver.attach().is_ok());
    ["nest and exit", "blocked", "unnest"].iter().for_each(|name| driver.call_soon(name));
    assert!(driver.host().run(Exec::Application).is_ok());
    assert!(driver.host().run(Exec::Application).is_ok(), "nothing ran that could end it");
    assert!(driver.detach().is_ok());
    assert_eq!(names(&driver.client().log.take()), ["nest and exit", "unnest", "blocked"]);
}

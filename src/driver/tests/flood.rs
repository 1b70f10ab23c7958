//! Other threads send without end, on the simulated host.

use super::*;

/// Sends `item` often enough for a flood.
fn flood(driver: &Loop, item: &'static str, times: usize) {
    (0..times).for_each(|_| driver.remote().send(item));
}

fn position(log: &[(u64, &'static str)], name: &str) -> usize {
    log.iter().position(|(_, item)| *item == name).expect("it ran")
}

#[test]
fn a_timer_is_not_kept_waiting_by_a_flood() {
    let driver = new(Strategy::Set);
    on(&driver, "sent", |driver| take(driver, 10));
    flood(&driver, "sent", 5_000);
    driver.call_at(Time::from_nanos(20), "due");
    driver.call_at(Time::from_nanos(1_000_000), "stop");
    let log = run(&driver);
    assert!(position(&log, "due") <= 2 * FIRST_BREADTH, "{}", position(&log, "due"));
    assert_eq!(log.iter().filter(|(_, item)| *item == "sent").count(), 5_000);
}

#[test]
fn an_fd_is_not_kept_waiting_by_a_flood() {
    for strategy in [Strategy::Set, Strategy::Notifier] {
        let (reader, writer) = rustix::pipe::pipe().expect("fds are left");
        let fd = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let driver = new(strategy);
        if strategy == Strategy::Notifier {
            driver.host().script(Time::ZERO, fd, Interest::READ);
        }
        on(&driver, "sent", |driver| take(driver, 100_000));
        on(&driver, "readable", move |driver| {
            driver.unwatch(fd, Direction::Read);
            ControlFlow::Continue(())
        });
        assert!(matches!(driver.watch(fd, Direction::Read, "readable"), Ok(None)));
        rustix::io::write(&writer, b"x").expect("there is room");
        flood(&driver, "sent", 5_000);
        driver.remote().send("stop");
        let log = run(&driver);
        assert!(position(&log, "readable") <= 2 * FIRST_BREADTH, "{}", position(&log, "readable"));
        assert_eq!(log.len(), 5_002);
    }
}

#[test]
fn a_stop_in_a_flood_waits_for_all_that_was_sent_before_the_iteration() {
    let driver = new(Strategy::Set);
    on(&driver, "stop and go on", |driver| {
        driver.set_stopping(true);
        driver.call_soon("next time");
        ControlFlow::Continue(())
    });
    driver.remote().send("stop and go on");
    flood(&driver, "sent", 5_000);
    assert_eq!(run(&driver).len(), 5_001);
    driver.set_stopping(true);
    assert_eq!(names(&run(&driver)), ["next time"]);
}

#[test]
fn what_a_flood_schedules_waits_for_all_of_it() {
    let driver = new(Strategy::Set);
    on(&driver, "first", |driver| {
        driver.call_soon("scheduled");
        ControlFlow::Continue(())
    });
    driver.remote().send("first");
    flood(&driver, "sent", 5_000);
    driver.call_soon("called");
    flood(&driver, "sent later", 5_000);
    driver.call_at(Time::from_nanos(1), "stop");
    // The clock stands still until everything has run.
    let log = run(&driver);
    let in_order = ["first", "sent", "called", "sent later", "scheduled", "stop"];
    assert!(in_order.is_sorted_by_key(|name| position(&log, name)));
    assert_eq!(log.len(), 10_004);
}

#[test]
fn what_breaks_in_a_flood_leaves_the_rest_of_it() {
    let driver = new(Strategy::Set);
    on(&driver, "exit", |_| ControlFlow::Break(()));
    on(&driver, "sent", |driver| take(driver, 10));
    driver.remote().send("exit");
    flood(&driver, "sent", 5_000);
    assert_eq!(names(&run(&driver)), ["exit"]);
    driver.call_at(driver.now(), "due");
    driver.call_soon("stop");
    let log = run(&driver);
    assert!(position(&log, "due") <= 2 * FIRST_BREADTH);
    assert_eq!(log.len(), 5_002);
}

#[test]
fn a_nested_loop_goes_on_with_a_flood() {
    let driver = new(Strategy::Set);
    on(&driver, "nest", |driver| {
        driver.call_soon("unnest");
        assert!(driver.host().run(Exec::Drain).is_ok());
        ControlFlow::Continue(())
    });
    on(&driver, "unnest", quit);
    flood(&driver, "sent", FIRST_BREADTH - 1);
    driver.remote().send("nest");
    flood(&driver, "sent too", 5_000);
    driver.call_at(Time::from_nanos(1), "stop");
    let log = run(&driver);
    assert_eq!(log.len(), FIRST_BREADTH + 5_002);
    assert!(position(&log, "sent too") < position(&log, "unnest"));
}

#[test]
fn a_thread_is_asked_to_wait_if_the_loop_runs_elsewhere_and_has_enough_to_do() {
    let driver = new(Strategy::Set);
    assert!(!driver.is_flooded(100_000), "there are no turns to wait for");
    on(&driver, "ask", |driver| {
        assert!(!driver.is_flooded(100_000), "this is the loop's own thread");
        driver.thread.set(driver.thread.get() + 1);
        let most = FLOOD * FIRST_BREADTH;
        assert!(!driver.is_flooded(most) && driver.is_flooded(most + 1));
        flood(driver, "sent", most);
        driver.take_inbox();
        assert!(driver.is_flooded(1), "what was taken counts until it is run");
        driver.thread.set(driver.thread.get() - 1);
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    driver.call_soon("ask");
    run(&driver);
}

#[test]
fn who_waits_may_send_again_when_little_is_left() {
    let driver = new(Strategy::Set);
    on(&driver, "first", |driver| {
        assert!(!driver.has_rest());
        ControlFlow::Continue(())
    });
    on(&driver, "last", |driver| {
        assert!(driver.has_rest());
        driver.set_stopping(true);
        ControlFlow::Continue(())
    });
    driver.remote().send("first");
    flood(&driver, "sent", 5_000);
    driver.remote().send("last");
    assert_eq!(run(&driver).len(), 5_002);
}

#[test]
fn slow_items_make_fewer_of_them_a_flood() {
    let driver = new(Strategy::Set);
    driver.set_slice(Duration::from_nanos(100));
    on(&driver, "slow", |driver| take(driver, 60));
    flood(&driver, "slow", FIRST_BREADTH);
    driver.remote().send("stop");
    run(&driver);
    assert!(driver.breadth.get() < FIRST_BREADTH);
    flood(&driver, "quick", 1_000);
    driver.call_at(driver.now().after(Duration::from_nanos(1)), "stop");
    run(&driver);
    assert!(driver.breadth.get() > FIRST_BREADTH / 2);
}

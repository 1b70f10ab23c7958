//! The simulated host keeps the contract, and the contract has teeth: a host that breaks a clause
//! is refused for it.

use std::cell::Cell;
use std::io;

use qtloop::host::Host;
use qtloop::host::bare::{BareHost, LeavableHost};
use qtloop::host::contract::check;
use qtloop::host::sim::SimHost;
use qtloop::sys::{poll, poll_for};

use crate::support::broken::{Broken, Fault};

#[test]
fn the_simulated_host_keeps_the_contract() {
    assert_eq!(check(&SimHost::with_real_fds), Ok(()));
    assert_eq!(check(&|| Box::new(SimHost::with_real_fds()) as Box<dyn Host>), Ok(()));
}

#[test]
fn the_bare_host_keeps_the_contract() {
    assert_eq!(check(&|| BareHost::new(Box::new(poll_for))), Ok(()));
    let left = || {
        let host = LeavableHost::new(Box::new(SimHost::with_real_fds()));
        host.leave(Box::new(poll_for));
        host
    };
    assert_eq!(check(&left), Ok(()));
}

#[test]
fn a_poll_that_signals_interrupt_changes_nothing() {
    let interrupted = || {
        let calls = Cell::new(0);
        SimHost::with_poll(Box::new(move |fds, block| {
            calls.set(calls.get() + 1);
            if calls.get() % 2 == 1 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                poll(fds, block)
            }
        }))
    };
    assert_eq!(check(&interrupted), Ok(()));
}

#[test]
fn a_host_that_knows_only_its_script_is_refused_for_its_fds() {
    let refused = check(&SimHost::scripted).expect_err("it looks at no fd");
    assert!(refused.starts_with("an fd is reported"), "{refused}");
}

#[test]
fn a_wrapper_without_fault_passes() {
    assert_eq!(check(&|| Broken::new(Fault::None)), Ok(()));
}

#[test]
fn each_fault_is_refused_by_its_clause() {
    let faults = [
        (Fault::NeverArms, "one arm gives one Ready"),
        (Fault::RepeatsReady, "one arm gives one Ready"),
        (Fault::ReportsFromArm, "one arm gives one Ready"),
        (Fault::QuitsAnEventLate, "one arm gives one Ready"),
        (Fault::NeverDisarms, "disarm takes arm back"),
        (Fault::ForgetsArmOfHandler, "Ready can be asked for while it is handled"),
        (Fault::ArmsAfterHandler, "Ready comes in a nested run"),
        (Fault::QuitsEveryRun, "quit ends the innermost run only"),
        (Fault::ForgetsQuitForNestedRun, "quit ends the innermost run only"),
        (Fault::RoundsDeadlineDown, "a deadline is never early"),
        (Fault::IgnoresPastDeadline, "a past deadline comes at once"),
        (Fault::KeepsFirstDeadline, "a new deadline replaces the old one"),
        (Fault::KeepsEarliestDeadline, "a new deadline replaces the old one"),
        (Fault::KeepsLatestDeadline, "a new deadline replaces the old one"),
        (Fault::RepeatsDeadline, "a deadline comes once, and not if taken back"),
        (Fault::KeepsDeadlineTakenBack, "a deadline comes once, and not if taken back"),
        (Fault::ForgetsDeadlineOfHandler, "a deadline comes once, and not if taken back"),
        (Fault::ReportsFdOnce, "an fd is reported for as long as it is ready"),
        (Fault::ReportsBothDirections, "an fd is reported for as long as it is ready"),
        (Fault::AddsInterest, "interest can be changed and ended"),
        (Fault::KeepsFirstInterest, "interest can be changed and ended"),
        (Fault::ReportsEndedWatch, "interest can be changed and ended"),
        (Fault::ReportsFromWatch, "interest can be changed and ended"),
        (Fault::ForgetsWatchOfHandler, "every event comes in a run nested in any event"),
        (Fault::StaysArmedWhenStopped, "a stopped host is silent and can be started again"),
        (Fault::KeepsDeadlineWhenStopped, "a stopped host is silent and can be started again"),
        (Fault::KeepsWatchWhenStopped, "a stopped host is silent and can be started again"),
        (Fault::KeepsGuest, "a stopped host is silent and can be started again"),
    ];
    for (fault, clause) in faults {
        let refused =
            check(&|| Broken::new(fault)).expect_err(&format!("{fault:?} was let through"));
        assert!(refused.starts_with(clause), "{fault:?} was refused, but so: {refused}");
    }
}

//! Qt: the host, signals, tasks inside its event loop, under the dispatcher that Qt chose.
//!
//! They run one after the other on the main thread: a process has one application at a time, and it
//! belongs to one thread.
#![allow(clippy::expect_used)]

mod host;
mod signals;
mod tasks;

use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;

const TESTS: &[(&str, fn())] = &[
    (
        "signals::every_emission_brings_its_arguments_and_destruction_ends_it",
        signals::every_emission_brings_its_arguments_and_destruction_ends_it,
    ),
    (
        "signals::a_signal_is_found_by_its_name_or_by_any_spelling_of_its_signature",
        signals::a_signal_is_found_by_its_name_or_by_any_spelling_of_its_signature,
    ),
    ("signals::what_is_no_signal_is_refused", signals::what_is_no_signal_is_refused),
    ("signals::a_dropped_connection_hears_nothing", signals::a_dropped_connection_hears_nothing),
    (
        "signals::the_closure_may_drop_its_own_connection",
        signals::the_closure_may_drop_its_own_connection,
    ),
    (
        "signals::what_is_emitted_within_the_closure_comes_after_it",
        signals::what_is_emitted_within_the_closure_comes_after_it,
    ),
    (
        "signals::a_panic_ends_the_connection_and_is_kept",
        signals::a_panic_ends_the_connection_and_is_kept,
    ),
    (
        "signals::a_stream_has_every_emission_and_ends_with_the_sender",
        signals::a_stream_has_every_emission_and_ends_with_the_sender,
    ),
    (
        "signals::a_full_stream_drops_the_oldest_and_counts_it",
        signals::a_full_stream_drops_the_oldest_and_counts_it,
    ),
    (
        "signals::who_waits_is_woken_by_an_emission_and_by_destruction",
        signals::who_waits_is_woken_by_an_emission_and_by_destruction,
    ),
    (
        "signals::who_drops_a_stream_that_waits_is_not_woken",
        signals::who_drops_a_stream_that_waits_is_not_woken,
    ),
    (
        "signals::another_threads_emission_comes_through_this_threads_event_loop",
        signals::another_threads_emission_comes_through_this_threads_event_loop,
    ),
    ("host::the_native_host_keeps_the_contract", host::the_native_host_keeps_the_contract),
    ("tasks::tasks_run_inside_qt", tasks::tasks_run_inside_qt),
];

fn main() -> ExitCode {
    let wanted: Vec<String> =
        env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let mut failed = Vec::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| is_wanted(name)) {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("failed: {failed:?}");
    ExitCode::from(u8::from(!failed.is_empty()))
}

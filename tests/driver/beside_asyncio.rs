//! The driver on the simulated host, item by item beside a model of asyncio, under random programs.

use std::time::Duration;

use proptest::prelude::*;
use qtloop::driver::Strategy::{Notifier, Set};

use crate::support::program::{Program, any_program, timeless_program};
use crate::support::script::run;

/// Programs are small and quick, and the ways in which they can go wrong are many.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: 8 * usual.cases, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_program_runs_as_asyncio_would_run_it(program in any_program()) {
        run(&program, Notifier);
    }

    #[test]
    fn slices_only_interpose_turns_of_the_host(program in timeless_program()) {
        let whole = run(&program, Set);
        let sliced = Program { slice: Duration::ZERO, ..program };
        prop_assert_eq!(&whole, &run(&sliced, Set));
        prop_assert_eq!(&whole, &run(&sliced, Notifier));
    }
}

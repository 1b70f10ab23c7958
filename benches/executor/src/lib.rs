//! The executor of qtloop beside other runtimes: the same futures on each.
//!
//! [`runtime`] says what a runtime must offer to take part, [`runtimes`] are those that do,
//! [`workloads`] is what they run.

#![allow(clippy::expect_used)] // What fails ends the bench.

pub mod latch;
pub mod runtime;
pub mod runtimes;
pub mod workloads;

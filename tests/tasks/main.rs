//! Rust futures as tasks of a loop.
#![allow(clippy::expect_used)]

mod executor;
mod io;
mod lifetimes;
mod loops;
// Miri has neither sockets nor processes.
#[cfg(not(miri))]
mod net;
#[cfg(not(miri))]
mod process;
mod simulated;
mod watches;

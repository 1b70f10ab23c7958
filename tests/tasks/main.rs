//! Rust futures as tasks of a loop.
#![allow(clippy::expect_used)]

mod executor;
mod io;
mod lifetimes;
mod loops;
mod net;
mod process;
mod watches;

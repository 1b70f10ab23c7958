//! Rust futures as tasks of a loop.

mod executor;
mod io;
mod lifetimes;
mod loops;
mod net;
mod process;
mod watches;

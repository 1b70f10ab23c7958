//! Rust futures on Python's loop.

pub mod current_loop;
pub mod from_python;
pub mod in_context;
#[cfg(feature = "async-runtimes")]
mod last_loop;
#[cfg(feature = "async-runtimes")]
pub mod runtime;
pub mod to_python;
#[cfg(feature = "qt")]
pub mod value;

//! Transports of pipes, and of what can be used as one.

mod common;
pub mod read;
pub mod write;

//! Transports of pipes, and of other files that can be used as pipes.

mod common;
pub mod read;
pub mod write;

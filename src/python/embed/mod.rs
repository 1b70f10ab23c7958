//! A Python interpreter in a Rust program.

pub mod exit;
pub mod interpreter;
pub mod package;
pub mod run;

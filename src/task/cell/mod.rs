//! A task in memory: its future or its outcome, its state, and the wakers and handles that refer to
//! it.

pub mod body;
mod flags;
pub mod join;
pub mod raw;
#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod wake_model;
mod waker;

//! What the system says of a thread: nothing.

use std::time::Duration;

/// The calling thread's number.
pub fn number() -> Option<u32> {
    None
}

/// How long the thread has run.
pub fn ran(_: u32) -> Option<Duration> {
    None
}

/// Whether the thread runs, or would if the machine let it.
pub fn is_ready(_: u32) -> bool {
    false
}

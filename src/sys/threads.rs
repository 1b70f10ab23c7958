//! The system's information about a thread. There is none on this system.

use std::time::Duration;

/// The number of the calling thread.
pub fn number() -> Option<u32> {
    None
}

/// The processor time of the thread.
pub fn ran(_: u32) -> Option<Duration> {
    None
}

/// Whether the thread runs, or waits only for a processor.
pub fn is_ready(_: u32) -> bool {
    false
}

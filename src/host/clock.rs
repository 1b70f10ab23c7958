//! The operating system's monotonic clock, the one `time.monotonic()` reads.

use rustix::time::{ClockId, clock_gettime};

use crate::core::Time;

/// The time since the clock's epoch (on Linux: the boot).
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    Time::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

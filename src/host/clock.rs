//! The operating system's monotonic clock, the one `time.monotonic()` reads.

use crate::core::Time;
use crate::sys;

/// The time since the clock's epoch (on Linux: the boot).
pub fn now() -> Time {
    sys::now()
}

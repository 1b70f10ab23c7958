//! A point on the host's monotonic clock.

use std::time::Duration;

/// Nanoseconds since an epoch that the host chooses; only differences and order mean anything.
///
/// The core never reads a clock: every `Time` it sees is handed to it, so that a simulated clock
/// can drive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The host's epoch.
    pub const ZERO: Time = Time(0);
    /// A deadline that no clock reaches: 584 years after the epoch.
    pub const NEVER: Time = Time(u64::MAX);

    /// The time `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The first whole nanosecond at or after `secs` seconds, so that a deadline is never early.
    ///
    /// What lies before the epoch, and NaN, is the epoch itself; what lies too far is
    /// [`Time::NEVER`].
    pub fn from_secs(secs: f64) -> Time {
        // A float-to-integer cast saturates and turns NaN into 0, which is what the doc promises.
        Time((secs * 1e9).ceil() as u64)
    }

    /// Seconds since the epoch, as `time.monotonic()` computes them.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// How long from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time `span` later, at most [`Time::NEVER`].
    pub fn after(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_up_and_saturate() {
        assert_eq!(Time::from_secs(1.000_000_000_1), Time(1_000_000_001));
        assert_eq!(Time::from_secs(-3.0), Time::ZERO);
        assert_eq!(Time::from_secs(f64::NAN), Time::ZERO);
        assert_eq!(Time::from_secs(f64::INFINITY), Time::NEVER);
        assert_eq!(Time::from_nanos(2_500_000_000).as_secs(), 2.5);
    }

    #[test]
    fn differences_do_not_wrap() {
        assert_eq!(Time(5).since(Time(7)), Duration::ZERO);
        assert_eq!(Time::NEVER.after(Duration::from_secs(1)), Time::NEVER);
    }
}

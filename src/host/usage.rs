//! What a thread has of the machine: to tell one that was held up from one that the machine did not
//! let run.

use std::time::Duration;

use crate::sys::threads;

/// A thread, to be looked at by others.
#[derive(Clone, Copy, Debug)]
pub struct Thread(Option<u32>);

impl Thread {
    /// The calling one.
    pub fn current() -> Thread {
        Thread(threads::number())
    }

    /// How long it has run; `None` where the system does not tell, or if it has ended.
    pub fn ran(self) -> Option<Duration> {
        self.0.and_then(threads::ran)
    }

    /// Whether it runs, or would if the machine let it; false where the system does not tell.
    pub fn is_ready(self) -> bool {
        self.0.is_some_and(threads::is_ready)
    }
}

/// Of one stretch of time, how much a thread was kept waiting by the machine, as far as those see
/// who look at it now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptWaiting {
    /// The length of the stretch at the last look, and how long the thread had run by then.
    last: Option<(Duration, Option<Duration>)>,
    total: Duration,
}

impl KeptWaiting {
    /// A look at a stretch that has this length by now: a thread that is ready, and has run for a
    /// part of the time since the last look, was kept waiting for the rest. What was before the
    /// first look nobody knows.
    pub fn look(&mut self, length: Duration, ran: Option<Duration>, is_ready: bool) {
        if let (Some((length_before, Some(ran_before))), Some(ran), true) =
            (self.last, ran, is_ready)
        {
            let ran = ran.saturating_sub(ran_before);
            self.total += length.saturating_sub(length_before).saturating_sub(ran);
        }
        self.last = Some((length, ran));
    }

    /// The sum.
    pub fn total(&self) -> Duration {
        self.total
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_a_ready_thread_did_not_run_it_was_kept_waiting() {
        let mut kept = KeptWaiting::default();
        kept.look(seconds(3), Some(seconds(50)), true);
        assert_eq!(kept.total(), seconds(0));
        kept.look(seconds(7), Some(seconds(51)), true);
        assert_eq!(kept.total(), seconds(3));
        // What it waits for is its own business.
        kept.look(seconds(10), Some(seconds(51)), false);
        assert_eq!(kept.total(), seconds(3));
        kept.look(seconds(12), Some(seconds(53)), true);
        assert_eq!(kept.total(), seconds(3));
        kept.look(seconds(20), None, true);
        kept.look(seconds(30), Some(seconds(54)), true);
        assert_eq!(kept.total(), seconds(3));
    }
}

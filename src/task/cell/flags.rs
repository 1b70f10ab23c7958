//! What every thread may say of a task.

use crate::sync::atomic::{AtomicU8, Ordering};

/// Another thread has woken the task and sends it to the loop's thread, or has sent it.
const SENT: u8 = 1;
/// The future is gone, and the outcome, if there is one, lies in the task.
const ENDED: u8 = 2;
/// Nobody waits for the outcome any more.
const DETACHED: u8 = 4;
/// The future is to be dropped and not to be polled.
const CANCELLED: u8 = 8;

/// What threads other than the loop's tell it about a task, and it them. The loop's own thread,
/// which wakes the most, keeps to itself whether a task is queued, and needs none of this for it.
///
/// # Memory order
///
/// Every change is a read-modify-write that acquires and releases, so each sees all that came
/// before the earlier ones. A wake that finds the task sent already still writes: the poll that
/// follows has taken back [`sent`](Flags::wake) after that, and sees what the wake was about. Of
/// the end and the [`detach`](Flags::detach) the later one sees the other, and has the outcome to
/// drop.
#[derive(Debug, Default)]
pub(in crate::task) struct Flags(AtomicU8);

impl Flags {
    /// Another thread wakes the task; whether it has to send it.
    #[must_use]
    pub(in crate::task) fn wake(&self) -> bool {
        self.0.fetch_or(SENT, Ordering::AcqRel) & (SENT | ENDED) == 0
    }

    /// What was sent has come; whether the future is still there.
    #[must_use]
    pub(in crate::task) fn arrive(&self) -> bool {
        self.0.fetch_and(!SENT, Ordering::AcqRel) & ENDED == 0
    }

    /// The future is gone.
    #[must_use]
    pub(in crate::task) fn end(&self) -> Ended {
        let before = self.0.fetch_or(ENDED, Ordering::AcqRel);
        Ended { is_awaited: before & DETACHED == 0, is_under_way: before & SENT != 0 }
    }

    /// Nobody waits for the outcome any more; whether it is there, and the caller's to drop.
    #[must_use]
    pub(in crate::task) fn detach(&self) -> bool {
        self.0.fetch_or(DETACHED, Ordering::AcqRel) & ENDED != 0
    }

    /// The future is not to be polled again. The caller wakes the task for that.
    pub(in crate::task) fn cancel(&self) {
        self.0.fetch_or(CANCELLED, Ordering::AcqRel);
    }

    pub(in crate::task) fn is_cancelled(&self) -> bool {
        // Who cancels wakes afterwards, and that is what makes us look.
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    pub(in crate::task) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) & ENDED != 0
    }
}

/// How things stood when the future went.
#[derive(Debug)]
pub(in crate::task) struct Ended {
    /// The outcome is for who awaits it; if not, for the caller to drop.
    pub(in crate::task) is_awaited: bool,
    /// What another thread has sent has not come yet.
    pub(in crate::task) is_under_way: bool,
}

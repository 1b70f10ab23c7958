//! The facts about a task that every thread may note.

use crate::sync::atomic::{AtomicU8, Ordering};

/// Another thread has woken the task and sends it to the loop's thread, or has sent it.
const SENT: u8 = 1;
/// The future is gone, and the outcome, if there is one, lies in the task.
const ENDED: u8 = 2;
/// Nobody waits for the outcome any more.
const DETACHED: u8 = 4;
/// The future is to be dropped and not to be polled.
const CANCELLED: u8 = 8;

/// The facts that the loop's thread and other threads tell each other about a task. The loop's own
/// thread wakes tasks most often. It notes elsewhere whether a task is queued, and needs no atomic
/// operation for that.
///
/// # Memory order
///
/// Every change is a read-modify-write that acquires and releases. So each change sees everything
/// that came before the earlier ones. A wake writes even if it finds that the task is sent already.
/// The next poll has taken back [`sent`](Flags::wake) after that wake, so it sees what the wake was
/// about. Of the end and the [`detach`](Flags::detach), the later one sees the other, and has to
/// drop the outcome.
#[derive(Debug, Default)]
pub(in crate::task) struct Flags(AtomicU8);

impl Flags {
    /// Another thread wakes the task. Returns whether that thread has to send the task.
    #[must_use]
    pub(in crate::task) fn wake(&self) -> bool {
        self.0.fetch_or(SENT, Ordering::AcqRel) & (SENT | ENDED) == 0
    }

    /// What was sent has come. Returns whether the future is still there.
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

    /// Nobody waits for the outcome any more. Returns whether the outcome is there, for the caller
    /// to drop.
    #[must_use]
    pub(in crate::task) fn detach(&self) -> bool {
        self.0.fetch_or(DETACHED, Ordering::AcqRel) & ENDED != 0
    }

    /// The future is not to be polled again. The caller wakes the task for that.
    pub(in crate::task) fn cancel(&self) {
        self.0.fetch_or(CANCELLED, Ordering::AcqRel);
    }

    pub(in crate::task) fn is_cancelled(&self) -> bool {
        // Whoever cancels also wakes, after this, and that wake brings the look at this flag.
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    pub(in crate::task) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) & ENDED != 0
    }
}

/// The state of the flags when the future went.
#[derive(Debug)]
pub(in crate::task) struct Ended {
    /// The outcome belongs to the one that awaits it; if not, the caller drops it.
    pub(in crate::task) is_awaited: bool,
    /// Another thread has sent the task, and that has not come yet.
    pub(in crate::task) is_under_way: bool,
}

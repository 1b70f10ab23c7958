//! Whether a loop has to be woken.

use crate::sync::atomic::{AtomicBool, Ordering};

/// Says whether the loop is awake, or has been sent a wake: either way it will look before it
/// sleeps, and needs no other.
///
/// # Memory order
///
/// Who sends pushes to the [`Inbox`](super::Inbox) and then calls [`wake`](AwakeFlag::wake); who is
/// about to sleep calls [`may_sleep`](AwakeFlag::may_sleep) and then looks at the inbox. One of the
/// two must notice the other. That is why the loop's thread swaps as well and does not just store:
/// of two swaps the later one reads what the earlier one wrote. If it is `wake`, it sees that a
/// signal is due. If it is `may_sleep`, it acquires all that was released before, and the look
/// finds the push. A store reads nothing, so nothing would make the look see the push: no order of
/// the flag's own helps, not even `SeqCst`, as the inbox is another variable. With swaps, acquire
/// and release are enough.
#[derive(Debug)]
pub struct AwakeFlag(AtomicBool);

impl Default for AwakeFlag {
    /// The loop is awake.
    fn default() -> Self {
        AwakeFlag(AtomicBool::new(true))
    }
}

impl AwakeFlag {
    /// Makes the loop count as woken; whether it has to be sent a signal for that. From any thread.
    #[must_use]
    pub fn wake(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The loop is awake: [`wake`](AwakeFlag::wake) asks for no signal until
    /// [`may_sleep`](AwakeFlag::may_sleep).
    pub fn is_awake(&self) {
        // A swap for the next `may_sleep`: were this a store, that would acquire nothing from the
        // wakes before.
        self.0.swap(true, Ordering::AcqRel);
    }

    /// The loop is about to sleep. It must look at its inbox once more *after* this call: what came
    /// before it asked for no signal.
    pub fn may_sleep(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

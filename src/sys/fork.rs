//! Tells whether this process is a forked child of the process in which an object was made.
//!
//! A forked child has a copy of the loop's memory, but no copy of the loop's objects in the kernel.
//! It shares an epoll set with the parent, and has no kqueue at all.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between the first process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Call this in the child after a fork. From then on objects that were made before the fork are not
/// used any more: see [`Poller::is_inherited`](super::Poller::is_inherited).
pub fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process in which an object was made.
#[derive(Clone, Copy, Debug)]
pub struct Born(u32);

impl Born {
    /// This process.
    pub fn now() -> Born {
        Born(FORKS.load(Ordering::Relaxed))
    }

    /// Whether that process was the parent of this one, or an earlier ancestor.
    pub fn is_in_a_parent(self) -> bool {
        self.0 != FORKS.load(Ordering::Relaxed)
    }
}

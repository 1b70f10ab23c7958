//! Whether the process has become another one by fork.
//!
//! The child has a copy of a loop, but not of what the kernel knows of it: an epoll set is shared
//! with the parent, and a kqueue is not there at all.

use std::sync::atomic::{AtomicU32, Ordering};

/// How often this process has become another one by fork.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in the child after a fork. From this call on, what was made before it is left
/// alone: see [`Poller::is_inherited`](super::Poller::is_inherited).
pub fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process that something was made in.
#[derive(Clone, Copy, Debug)]
pub struct Born(u32);

impl Born {
    /// This process.
    pub fn now() -> Born {
        Born(FORKS.load(Ordering::Relaxed))
    }

    /// Whether that was the parent process, or one before it.
    pub fn is_in_a_parent(self) -> bool {
        self.0 != FORKS.load(Ordering::Relaxed)
    }
}

//! The loop that got its first Rust future last: for threads that have none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::task::{Handle, LocalHandle};

static LAST: Mutex<Option<Handle>> = Mutex::new(None);

fn last() -> MutexGuard<'static, Option<Handle>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop, once there is one.
pub(super) fn get() -> Option<Handle> {
    last().clone()
}

/// From now on it is this one.
pub(super) fn remember(event_loop: &LocalHandle) {
    let before = last().replace(event_loop.handle());
    drop(before);
}

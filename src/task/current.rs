//! The loop that is current on this thread.

use std::cell::RefCell;
use std::rc::Rc;

use super::executor::Executor;

thread_local!(static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) });

/// A time in which another loop is the current one. It ends when this is dropped.
#[derive(Default)]
pub struct Entered {
    /// The loop that was current before; `None` if nothing was changed.
    before: Option<Option<Rc<Executor>>>,
}

/// Makes `executor` the current one.
pub(crate) fn enter(executor: Rc<Executor>) -> Entered {
    Entered { before: CURRENT.try_with(|current| current.replace(Some(executor))).ok() }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // While the thread ends there is no current loop.
            let left = CURRENT.try_with(|current| current.replace(before));
            drop(left);
        }
    }
}

/// Whether there is a current executor and `is_it` recognises it.
pub(crate) fn is_current(is_it: impl FnOnce(&Executor) -> bool) -> bool {
    CURRENT.try_with(|current| current.borrow().as_deref().is_some_and(is_it)).unwrap_or_default()
}

/// The current executor, if there is one.
pub(crate) fn current() -> Option<Rc<Executor>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The current executor, for code that needs one.
///
/// # Panics
/// If no loop runs or is attached on this thread.
#[track_caller]
pub(crate) fn expect_current() -> Rc<Executor> {
    match current() {
        Some(executor) => executor,
        None => panic!("no qtloop event loop runs on this thread"),
    }
}

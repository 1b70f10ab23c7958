//! Exceptions that end a run from within, wherever they were raised.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use pyo3::prelude::*;

use super::class::border::again;
use super::item::Item;
use crate::driver::Remote;
use crate::task::foreign::job::{Closure, Job};

/// The exception that ends a loop's run. Everything that may raise one shares it.
#[derive(Default)]
pub struct Fatal {
    error: RefCell<Option<PyErr>>,
    /// Whether the run has still to be ended.
    is_pending: Cell<bool>,
    remote: OnceCell<Arc<Remote<Item>>>,
}

impl Fatal {
    /// Tells this how to bring a turn about.
    pub fn connect(&self, remote: &Arc<Remote<Item>>) {
        self.remote.get_or_init(|| Arc::clone(remote));
    }

    /// Notes an exception of an item, or of what came before a turn. The caller ends the run. The
    /// first exception is raised; a later one only shows that the run is ending.
    pub fn set(&self, error: PyErr) {
        self.error.borrow_mut().get_or_insert(error);
    }

    /// Notes an exception that came where nobody can end the run. The next item ends it, or the
    /// next turn, which comes at once.
    pub fn raise_soon(&self, py: Python<'_>, error: PyErr) {
        if self.error.borrow().is_some() {
            return error.write_unraisable(py, None);
        }
        self.error.replace(Some(error));
        self.is_pending.set(true);
        if let Some(remote) = self.remote.get() {
            // The turn under way may take the wake, and then it runs this. A host that could not be
            // armed needs the wake.
            remote.send(Item::Job(Job::sent(Closure(|| {}))));
            remote.wake();
        }
    }

    /// Whether the run is to end now because of such an exception.
    pub fn take_pending(&self) -> bool {
        self.is_pending.take()
    }

    /// The exception, if one has ended the run.
    pub fn take(&self) -> Option<PyErr> {
        self.is_pending.set(false);
        self.error.take()
    }

    /// Makes a call that must succeed, in a place where nobody could catch its exception. The
    /// exception may be a signal handler's. So the call is repeated, and the exception ends the
    /// run.
    ///
    /// # Errors
    /// What the call raises each time.
    pub fn insist<R>(&self, py: Python<'_>, call: impl FnMut() -> PyResult<R>) -> PyResult<R> {
        let (outcome, interrupts) = again(call);
        interrupts.into_iter().for_each(|error| self.raise_soon(py, error));
        outcome
    }
}

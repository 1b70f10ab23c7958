//! What ends a run from within: an exception, wherever it was raised.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use pyo3::prelude::*;

use super::class::border::again;
use super::item::Item;
use crate::driver::Remote;
use crate::task::foreign::job::{Closure, Job};

/// The exception that ends a loop's run, shared by all who may get one.
#[derive(Default)]
pub struct Fatal {
    error: RefCell<Option<PyErr>>,
    /// Whether the run is still to be ended.
    is_pending: Cell<bool>,
    remote: OnceCell<Arc<Remote<Item>>>,
}

impl Fatal {
    /// Says how to bring a turn about.
    pub fn connect(&self, remote: &Arc<Remote<Item>>) {
        self.remote.get_or_init(|| Arc::clone(remote));
    }

    /// The exception of an item, or of what came before a turn: the caller ends the run. The first
    /// one is raised; a later one only shows that the run is ending.
    pub fn set(&self, error: PyErr) {
        self.error.borrow_mut().get_or_insert(error);
    }

    /// An exception that came where nobody can end the run: the next item does, or the next turn,
    /// which comes at once.
    pub fn raise_soon(&self, py: Python<'_>, error: PyErr) {
        if self.error.borrow().is_some() {
            return error.write_unraisable(py, None);
        }
        self.error.replace(Some(error));
        self.is_pending.set(true);
        if let Some(remote) = self.remote.get() {
            // The turn under way may take the wake, and then runs this; a host that could not be
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

    /// Makes a call that has to be made, in a place where its exception could reach nobody. The
    /// handler of a signal may have raised it, so the call is made again, and the exception ends
    /// the run.
    ///
    /// # Errors
    /// What the call raises again and again.
    pub fn insist<R>(&self, py: Python<'_>, call: impl FnMut() -> PyResult<R>) -> PyResult<R> {
        let (outcome, interrupts) = again(call);
        interrupts.into_iter().for_each(|error| self.raise_soon(py, error));
        outcome
    }
}

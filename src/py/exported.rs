//! The loop as the Rust futures of extension modules see it: `Loop._executor`, a capsule.

use std::ffi::c_void;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use pyo3::exceptions::{PyResourceWarning, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use rustix::io::Errno;

use super::event_loop::{Loop, PyDriver};
use super::handle;
use super::hosts::Ensured;
use super::item::Item;
use crate::core::{Direction, Fd, Phase, Refused, Time, TimerKey};
use crate::task::export::{Export, Exportable, Exported};
use crate::task::job::Job;
use crate::task::scheduler::{Scheduler, Sender};
use crate::task::table::CAPSULE;

/// A driver whose every call takes the GIL: a Rust future may have let go of it. What is scheduled once the loop is closed is dropped,
/// as nobody else would.
struct Locked(Rc<PyDriver>);

impl Locked {
    fn with<R>(&self, call: impl FnOnce(&PyDriver) -> R) -> R {
        let _ensured = Ensured::new();
        call(&self.0)
    }
}

impl Scheduler for Locked {
    fn now(&self) -> Time {
        self.with(|driver| driver.now())
    }

    fn call_soon(&self, job: Job) {
        self.with(|driver| if self.is_closed() { drop(job) } else { Scheduler::call_soon(driver, job) });
    }

    fn call_at(&self, deadline: Time, job: Job) -> TimerKey {
        self.with(|driver| {
            if self.is_closed() {
                drop(job);
                return TimerKey::NONE;
            }
            Scheduler::call_at(driver, deadline, job)
        })
    }

    fn cancel(&self, key: TimerKey) -> Option<Job> {
        self.with(|driver| Scheduler::cancel(driver, key))
    }

    fn watch(&self, fd: Fd, direction: Direction, job: Job) -> io::Result<Option<Job>> {
        self.with(|driver| {
            if self.is_closed() {
                drop(job);
                return Err(Errno::CANCELED.into());
            }
            Scheduler::watch(driver, fd, direction, job)
        })
    }

    fn is_watched_by(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> bool {
        self.with(|driver| Scheduler::is_watched_by(driver, fd, direction, is_it))
    }

    fn unwatch(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> Option<Job> {
        self.with(|driver| Scheduler::unwatch(driver, fd, direction, is_it))
    }

    fn stop(&self) {
        self.with(Scheduler::stop);
    }

    fn discard_sent(&self) {
        self.with(Scheduler::discard_sent);
    }
}

impl Exportable for Locked {
    fn sender(&self) -> Arc<dyn Sender> {
        Arc::clone(self.0.remote()) as _
    }

    fn is_closed(&self) -> bool {
        self.0.phase() == Phase::Closed
    }

    fn note_entered(&self, entered: *mut c_void) -> *mut c_void {
        self.with(|driver| driver.client().note_context(entered.cast()).cast())
    }
}

/// # Safety
/// See the impl.
struct Contents(#[allow(dead_code, reason = "read by other modules")] Exported);

// SAFETY: the capsule is used and freed with the GIL held, which guards the counted reference in it; as for `Loop`.
unsafe impl Send for Contents {}

impl Loop {
    /// The loop's table, for the calling thread.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, or belongs to another thread.
    pub fn table<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let driver = self.open_driver()?;
        self.check_thread()?;
        if driver.phase() == Phase::Running && !driver.is_owner() {
            return Err(PyRuntimeError::new_err("the loop runs in another thread: its Rust futures are made there"));
        }
        let export = self.export.get_or_init(|| Export::new(Locked(Rc::clone(driver))));
        PyCapsule::new_with_value(py, Contents(Exported::new(Rc::clone(export))), CAPSULE)
    }

    /// # Errors
    /// `RuntimeError` if the loop has Rust futures that belong to another thread: it cannot run on this one.
    pub fn check_thread(&self) -> PyResult<()> {
        match self.export.get() {
            Some(export) if !export.is_here() => {
                Err(PyRuntimeError::new_err("the loop has Rust futures, which belong to another thread"))
            }
            _ => Ok(()),
        }
    }

    /// Closes the driver and drops all that is scheduled. Says whether that was all: what is Rust's and belongs to another thread must
    /// neither run nor be dropped here, and is leaked.
    pub fn close_driver(&self, py: Python<'_>) -> Result<bool, Refused> {
        let Some(driver) = self.driver.get() else { return Ok(true) };
        let scheduled = driver.close()?;
        handle::leave_queues(py);
        scheduled.into_iter().for_each(|item| self.retire(item));
        Ok(self.export.get().is_none_or(|export| export.close()))
    }

    /// Drops an item that is not scheduled any more.
    fn retire(&self, item: Item) {
        match item {
            Item::Job(job) if self.export.get().is_some_and(|export| !export.is_here()) => std::mem::forget(job),
            item => drop(item),
        }
    }

    /// Cancels an item that has lost its watch. Who waits by a job is woken once more, and sees for itself.
    pub fn cancel_item(&self, py: Python<'_>, item: Item) -> PyResult<()> {
        if let Item::Job(_) = item {
            self.driver()?.call_soon(item);
            return Ok(());
        }
        item.cancel(py)
    }
}

/// Says that Rust futures were leaked.
///
/// # Errors
/// The warning, if warnings are errors.
pub fn warn_of_leak(py: Python<'_>) -> PyResult<()> {
    let text = c"a loop with Rust futures was closed by another thread than theirs: they are never dropped";
    PyErr::warn(py, &py.get_type::<PyResourceWarning>(), text, 1)
}

impl Drop for Loop {
    fn drop(&mut self) {
        // A loop that runs is referred to by its run.
        let _closed = super::abi::attached(|py| self.close_driver(py).map(drop));
    }
}

//! The loop as the Rust futures of extension modules see it: the capsule `Loop._executor`.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use pyo3::exceptions::{PyResourceWarning, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use rustix::io::Errno;

use super::client::PyDriver;
use super::host::Ensured;
use super::item::Item;
use crate::core::{Direction, Fd, Phase, Time, TimerKey};
use crate::task::foreign::export::{Export, Exportable, ExportedTable};
use crate::task::foreign::job::Job;
use crate::task::foreign::table::CAPSULE;
use crate::task::scheduler::{Scheduler, Sender};

/// A driver whose every call takes the GIL, because a Rust future may have released it. What is
/// scheduled after the loop was closed is dropped here, since nothing else would drop it.
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
        self.with(
            |driver| if self.is_closed() { drop(job) } else { Scheduler::call_soon(driver, job) },
        );
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
struct Contents(#[allow(dead_code, reason = "read by other modules")] ExportedTable);

// SAFETY: the capsule is used and freed with the GIL held, which guards the counted reference in
// it; as for `Loop`.
unsafe impl Send for Contents {}

/// What the Rust futures know of the loop, once there are some.
#[derive(Default)]
pub struct RustFutures(OnceCell<Rc<Export>>);

impl RustFutures {
    /// The loop's table, for the calling thread.
    ///
    /// # Errors
    /// `RuntimeError` if the loop belongs to another thread.
    pub fn table<'py>(
        &self,
        py: Python<'py>,
        driver: &Rc<PyDriver>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        self.check_thread()?;
        if driver.phase() == Phase::Running && !driver.is_loop_thread() {
            return Err(PyRuntimeError::new_err(
                "the loop runs in another thread: its Rust futures are made there",
            ));
        }
        let export = self.0.get_or_init(|| Export::new(Locked(Rc::clone(driver))));
        PyCapsule::new_with_value(py, Contents(ExportedTable::new(Rc::clone(export))), CAPSULE)
    }

    /// Whether this thread may drop the Rust futures. If there are none, every thread may.
    fn are_here(&self) -> bool {
        self.0.get().is_none_or(|export| export.is_here())
    }

    /// `RuntimeError` if there are Rust futures of another thread: the loop cannot run on this one.
    pub fn check_thread(&self) -> PyResult<()> {
        if self.are_here() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("the loop has Rust futures, which belong to another thread"))
    }

    /// Drops them after the loop was closed. `scheduled` is what was scheduled then. Returns
    /// whether everything was dropped: Rust futures of another thread must neither run nor be
    /// dropped here, and are leaked.
    pub fn close(&self, scheduled: impl IntoIterator<Item = Item>) -> bool {
        scheduled.into_iter().for_each(|item| self.retire(item));
        self.0.get().is_none_or(|export| export.close())
    }

    /// Drops an item that is not scheduled any more.
    fn retire(&self, item: Item) {
        match item {
            Item::Job(job) if !self.are_here() => std::mem::forget(job),
            item => drop(item),
        }
    }
}

/// Warns that Rust futures were leaked.
///
/// # Errors
/// The warning, if warnings are errors.
pub fn warn_of_leak(py: Python<'_>) -> PyResult<()> {
    let text =
        c"a loop with Rust futures was closed by another thread than theirs: they are never \
        dropped";
    PyErr::warn(py, &py.get_type::<PyResourceWarning>(), text, 1)
}

//! The executor of a Python loop: one per loop and copy of this crate, on the loop's thread, until
//! the loop is closed.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCapsule;
use pyo3::{ffi, intern};

use crate::task::LocalHandle;
use crate::task::executor::Executor;
use crate::task::foreign::job::{Closure, Job};
use crate::task::foreign::table::{CAPSULE, Keeper, TableScheduler, VERSION};
use crate::task::scheduler::Scheduler;

/// The loop that runs on this thread, or is attached to it.
///
/// # Errors
/// `RuntimeError` if there is none; `TypeError` if it is not qtloop's.
pub fn current_loop(py: Python<'_>) -> PyResult<LocalHandle> {
    handle_of(&running_loop(py)?)
}

/// A handle to a Python loop, for this thread. If the loop does not run, this becomes the only
/// thread that it can run on.
///
/// # Errors
/// `TypeError` if that is no loop of qtloop's; `RuntimeError` if it is closed or belongs to another
/// thread, or if this extension was built with a version of qtloop that does not fit the one that
/// is installed.
pub fn handle_of(event_loop: &Bound<'_, PyAny>) -> PyResult<LocalHandle> {
    Home::of(event_loop).map(|home| LocalHandle::new(Rc::clone(&home.executor)))
}

/// The loop that runs on this thread, or is attached to it, whoever's it is.
///
/// # Errors
/// `RuntimeError` if there is none.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let event_loop = GET_RUNNING_LOOP.import(py, "asyncio.events", "_get_running_loop")?.call0()?;
    if !event_loop.is_none() {
        return Ok(event_loop);
    }
    static CURRENT_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CURRENT_LOOP.import(py, "qtloop._current", "current_loop")?.call0()
}

/// Where the Rust futures of one Python loop are at home, as far as they are this module's.
pub(super) struct Home {
    /// The loop.
    address: Address,
    pub(super) executor: Rc<Executor>,
    scheduler: Rc<TableScheduler<Kept>>,
}

/// A loop's address, which stands for it as long as it is not closed.
pub(super) type Address = usize;

thread_local! {
    /// Of the loops that are at home on this thread. Few, mostly one. When the thread ends they are
    /// left as they are: neither Python nor the loop can be had then.
    static HOMES: RefCell<ManuallyDrop<Vec<Rc<Home>>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

impl Home {
    /// The home of a loop's futures on this thread, made if need be.
    ///
    /// # Errors
    /// As [`handle_of`].
    pub(super) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Rc<Home>> {
        let address = event_loop.as_ptr().addr();
        match Home::at(address) {
            Some(home) if !home.is_closed() => return Ok(home),
            // Another thread has closed that loop, and this one came to stand where it stood.
            Some(stale) => stale.remove(),
            None => {}
        }
        let home = Rc::new(Home::new(event_loop)?);
        HOMES.with_borrow_mut(|homes| homes.push(Rc::clone(&home)));
        #[cfg(feature = "async-runtimes")]
        crate::python::future::last_loop::remember(&LocalHandle::new(Rc::clone(&home.executor)));
        let close = Closure(move || {
            if let Some(home) = Home::at(address) {
                home.remove();
                Python::attach(|_| home.executor.close());
            }
        });
        home.scheduler.at_close(Job::local(close));
        Ok(home)
    }

    /// The home on this thread of the loop at `address`.
    pub(super) fn at(address: Address) -> Option<Rc<Home>> {
        HOMES.with_borrow(|homes| homes.iter().find(|home| home.address == address).cloned())
    }

    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Home> {
        let py = event_loop.py();
        let capsule = event_loop
            .getattr_opt(intern!(py, "_executor"))?
            .ok_or_else(|| not_ours(event_loop))?;
        let capsule = capsule.cast_into::<PyCapsule>().map_err(|_| not_ours(event_loop))?;
        let table =
            capsule.pointer_checked(Some(CAPSULE)).map_err(|_| not_ours(event_loop))?.cast();
        let keeper = Kept { _capsule: capsule.unbind() };
        // SAFETY: the capsule's name promises a table for this thread, which stays as long as the
        // capsule.
        let scheduler = unsafe { TableScheduler::new(table.as_ptr(), keeper) }.map_err(|version| {
            PyRuntimeError::new_err(format!(
                "this extension speaks version {VERSION} of qtloop's loop table, and the installed \
                    qtloop version {version}: build \
                 the extension with the crate qtloop of the release that is installed"
            ))
        })?;
        let scheduler = Rc::new(scheduler);
        let sender = scheduler.sender();
        let executor = Executor::new(Rc::clone(&scheduler) as Rc<dyn Scheduler>, sender);
        Ok(Home { address: event_loop.as_ptr().addr(), executor, scheduler })
    }

    fn remove(self: &Rc<Home>) {
        let removed = HOMES.with_borrow_mut(|homes| {
            let place = homes.iter().position(|home| Rc::ptr_eq(home, self));
            place.map(|place| homes.swap_remove(place))
        });
        drop(removed);
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// Whether the loop is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.scheduler.is_closed()
    }

    /// Tells the loop which context the job under way has entered, null for none, so that a nested
    /// turn leaves it; what it was told before.
    pub(super) fn note_context(&self, context: *mut ffi::PyObject) -> *mut ffi::PyObject {
        self.scheduler.note_entered(context.cast::<c_void>()).cast()
    }
}

fn not_ours(event_loop: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!(
        "Rust futures need an event loop of qtloop's, and {event_loop:?} is none: run the program \
            by qtloop.run(), by asyncio.Runner \
         with loop_factory=qtloop.new_event_loop, or inside qtloop.attach()"
    ))
}

/// Keeps the table's loop, and holds the GIL around what its tasks do.
struct Kept {
    _capsule: Py<PyCapsule>,
}

impl Keeper for Kept {
    fn surround(&self, run: &mut dyn FnMut()) {
        // An interpreter that is about to end lets nobody attach any more.
        if Python::try_attach(|_| run()).is_none() {
            run();
        }
    }
}

//! The stretches of time in which a thread's Qt event loop does not turn: for `qtloop._watchdog`.
//!
//! The signs come from the native host's module, which needs no GIL for them, or through the Python binding: then what Qt calls is
//! a callable made here and not in Python, so that no signal handler's exception can arise in it, where nobody could catch it.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use super::hosts::Ensured;
use super::trash::Held;
use crate::host::clock;
use crate::host::signs::{CAPSULE, News, Sign, SignTable, Stretch, Stretches as Timing};

/// One thread's stretches. Any thread may look.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Stretches(Arc<Watched>);

struct Watched {
    timing: Mutex<Timing>,
    /// Called with None when a stretch begins that is waited for, and with (number, seconds) when a long one has ended. Must be
    /// written in C, for the same reason.
    report: Held,
}

impl Watched {
    fn timing(&self) -> MutexGuard<'_, Timing> {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sign. The GIL is asked for only if there is news.
    fn take(&self, sign: Sign) {
        let news = self.timing().take(sign, clock::now());
        if news != News::default() {
            let _ensured = Ensured::new();
            Python::attach(|py| self.tell(py, news));
        }
    }

    fn tell(&self, py: Python<'_>, news: News) {
        let ended = news.ended.map(|stretch| self.report.call1(py, (seconds(stretch),)));
        let begun = news.has_begun.then(|| self.report.call1(py, (py.None(),)));
        for error in [ended, begun].into_iter().flatten().filter_map(Result::err) {
            error.write_unraisable(py, Some(self.report.bind(py)));
        }
    }
}

fn seconds(stretch: Stretch) -> (u64, f64) {
    (stretch.number, stretch.length.as_secs_f64())
}

/// A slot or an event filter that takes a sign, whatever arguments Qt has for it.
#[pyclass(frozen, module = "qtloop._core")]
pub struct SignSlot {
    watched: Arc<Watched>,
    sign: Sign,
}

#[pymethods]
impl SignSlot {
    /// False: as an event filter it lets the event pass.
    #[pyo3(signature = (*_arguments))]
    fn __call__(&self, _arguments: &Bound<'_, PyTuple>) -> bool {
        self.watched.take(self.sign);
        false
    }
}

/// Gets a thread's signs from a native module, until it is stopped on that thread.
#[pyclass(unsendable, module = "qtloop._core")]
pub struct NativeSigns {
    table: SignTable,
    session: Cell<Option<NonNull<c_void>>>,
    /// Whom the session tells.
    _watched: Arc<Watched>,
}

#[pymethods]
impl NativeSigns {
    fn stop(&self) {
        if let Some(session) = self.session.take() {
            // SAFETY: made by `listen`, on this thread, and not stopped before.
            unsafe { (self.table.stop)(session.as_ptr()) };
        }
    }
}

impl Drop for NativeSigns {
    fn drop(&mut self) {
        self.stop();
    }
}

/// # Safety
/// `context` points to what `listen` was called for, and the session has not been stopped.
unsafe extern "C" fn tell(context: *mut c_void, sign: u32) {
    // SAFETY: the caller's promise.
    let watched = unsafe { &*context.cast::<Watched>() };
    if let Some(sign) = Sign::from_abi(sign) {
        watched.take(sign);
    }
}

#[pymethods]
impl Stretches {
    #[new]
    fn new(report: Py<PyAny>) -> Stretches {
        Stretches(Arc::new(Watched { timing: Mutex::default(), report: Held::new(report) }))
    }

    /// How many stretches have begun: changes whenever the event loop turns.
    #[getter]
    fn number(&self) -> u64 {
        self.0.timing().number()
    }

    /// The thread does something: a stretch begins unless one is under way.
    fn busy(&self) {
        self.0.take(Sign::Busy);
    }

    /// The stretch under way, if any, is over.
    fn asleep(&self) {
        self.0.take(Sign::Asleep);
    }

    /// For an event filter.
    fn busy_slot(&self) -> SignSlot {
        self.slot(Sign::Busy)
    }

    /// For the dispatcher's `awake`.
    fn turned_slot(&self) -> SignSlot {
        self.slot(Sign::Turned)
    }

    /// For the dispatcher's `aboutToBlock`.
    fn asleep_slot(&self) -> SignSlot {
        self.slot(Sign::Asleep)
    }

    /// Begins to take the signs of the calling thread from a native module's table.
    ///
    /// Raises RuntimeError if there is no QCoreApplication.
    fn listen(&self, signs: &Bound<'_, PyCapsule>) -> PyResult<NativeSigns> {
        let table = signs.pointer_checked(Some(CAPSULE))?.cast::<SignTable>();
        // SAFETY: the capsule's name promises a table.
        let table = unsafe { *table.as_ref() };
        let context = Arc::as_ptr(&self.0).cast_mut().cast();
        // SAFETY: the session is stopped before the reference to what it tells is let go.
        let session = NonNull::new(unsafe { (table.start)(context, tell) });
        let session = session.ok_or_else(|| PyRuntimeError::new_err("no QCoreApplication exists"))?;
        Ok(NativeSigns { table, session: Cell::new(Some(session)), _watched: Arc::clone(&self.0) })
    }

    /// The number of the stretch under way and its length so far in seconds; None if there is none, and then the next one's
    /// beginning will be reported. From now on those that last for `limit` seconds are long.
    fn look(&self, limit: f64) -> Option<(u64, f64)> {
        let limit = Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX);
        self.0.timing().look(limit, clock::now()).map(seconds)
    }
}

impl Stretches {
    fn slot(&self, sign: Sign) -> SignSlot {
        SignSlot { watched: Arc::clone(&self.0), sign }
    }
}

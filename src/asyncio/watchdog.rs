//! The stretches of time in which a thread's Qt event loop does not turn: for `qtloop._watchdog`.
//!
//! The signs come from the native host's module, which needs no GIL for them, or through the Python
//! binding. For the binding, Qt calls a callable that is made here and not in Python, so that no
//! signal handler can raise its exception in it: nobody could catch it there.
//!
//! The watchdog's thread waits here, without the GIL. So it can look at the watched thread at any
//! time, even if that thread keeps the GIL. It can tell whether that thread waits for something,
//! runs, or was not given the processor by the system.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::host::activity::{CAPSULE, News, Sign, SignTable, Stretch, Stretches as Timing};
use crate::host::clock;
use crate::host::usage::{KeptWaiting, Thread};

/// The stretches of one thread. That thread makes the object; any thread may look at it.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Stretches(Arc<Watched>);

struct Watched {
    thread: Thread,
    state: Mutex<State>,
    /// There is news for the watchdog's thread.
    news: Condvar,
}

#[derive(Default)]
struct State {
    timing: Timing,
    /// Long stretches that have ended and were not reported yet.
    ended: VecDeque<Stretch>,
    is_stopped: bool,
    /// The stretch that was last looked at.
    looked: Looked,
}

#[derive(Clone, Copy, Default)]
struct Looked {
    number: u64,
    kept_waiting: KeptWaiting,
    /// Whether it was reported that the stretch goes on.
    is_told: bool,
}

impl Looked {
    /// How much of a stretch counts.
    fn counted(&self, stretch: Stretch) -> Duration {
        let kept_waiting =
            if self.number == stretch.number { self.kept_waiting.total() } else { Duration::ZERO };
        stretch.length.saturating_sub(kept_waiting)
    }
}

/// What the watchdog's thread is told.
enum Told {
    /// A long stretch has ended.
    Ended(Stretch),
    /// A stretch goes on, and may become a long one. So much of it counts.
    GoesOn(Stretch),
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sign. It needs no GIL.
    fn take(&self, sign: Sign) {
        let mut state = self.state();
        let news = state.timing.take(sign, clock::now());
        state.ended.extend(news.ended);
        drop(state);
        if news != News::default() {
            self.news.notify_all();
        }
    }

    /// Waits until there is something to tell; `None` when it is stopped. `reported` is a stretch
    /// of which only the end is of interest. The GIL must not be held: the watched thread may keep
    /// it, and is looked at all the same.
    fn wait(&self, limit: Duration, reported: u64) -> Option<Told> {
        // The limit may have been changed since.
        let first = limit.min(USUAL_LIMIT);
        let interval = (first / 4).max(SHORTEST_INTERVAL);
        let mut state = self.state();
        loop {
            if let Some(ended) = state.ended.pop_front() {
                if ended.number == reported || state.looked.counted(ended) >= limit {
                    return Some(Told::Ended(ended));
                }
                continue;
            }
            if state.is_stopped {
                return None;
            }
            let under_way =
                state.timing.look(limit, clock::now()).filter(|stretch| stretch.number != reported);
            let Some(stretch) = under_way else {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let before = state.looked;
            // The watched thread must not wait for this.
            drop(state);
            let looked = self.look(before, stretch);
            state = self.state();
            if state.timing.under_way(clock::now()).is_none_or(|now| now.number != stretch.number) {
                continue;
            }
            state.looked = looked;
            let counted = looked.counted(stretch);
            if counted >= limit || (counted >= first && !looked.is_told) {
                state.looked.is_told = true;
                return Some(Told::GoesOn(Stretch { length: counted, ..stretch }));
            }
            let due = (if looked.is_told { limit } else { first }).saturating_sub(counted);
            let pause = interval.min(due.max(SHORTEST_PAUSE));
            state = self.news.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn look(&self, before: Looked, stretch: Stretch) -> Looked {
        let begun = Looked { number: stretch.number, ..Looked::default() };
        let mut looked = if before.number == stretch.number { before } else { begun };
        looked.kept_waiting.look(stretch.length, self.thread.ran(), self.thread.is_ready());
        looked
    }

    fn stop(&self) {
        self.state().is_stopped = true;
        self.news.notify_all();
    }
}

/// asyncio's `slow_callback_duration`, unless somebody changes it.
const USUAL_LIMIT: Duration = Duration::from_millis(100);

/// A stretch is looked at no more often than this, except just before it would become a long one.
/// It is never looked at more often than by the second one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

fn seconds(stretch: Stretch) -> (u64, f64) {
    (stretch.number, stretch.length.as_secs_f64())
}

/// The value if the time has no end.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
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
    /// The state that the session tells.
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
    fn new() -> Stretches {
        let thread = Thread::current();
        Stretches(Arc::new(Watched { thread, state: Mutex::default(), news: Condvar::new() }))
    }

    /// Waits for what is to be reported: (number, seconds, whether it has ended) of a stretch that
    /// is long, or may be long by the limit that applies now. None when it is stopped. Of the
    /// stretch `reported` only the end is reported. Time in which the system did not run the thread
    /// does not count among the seconds of a stretch that goes on.
    fn wait(&self, py: Python<'_>, limit: f64, reported: u64) -> Option<(u64, f64, bool)> {
        let told = py.detach(|| self.0.wait(duration(limit), reported))?;
        let (stretch, has_ended) = match told {
            Told::Ended(stretch) => (stretch, true),
            Told::GoesOn(stretch) => (stretch, false),
        };
        let (number, length) = seconds(stretch);
        Some((number, length, has_ended))
    }

    /// Ends the waiting, when everything has been told.
    fn stop(&self) {
        self.0.stop();
    }

    /// How many stretches have begun: changes whenever the event loop turns.
    #[getter]
    fn number(&self) -> u64 {
        self.0.state().timing.number()
    }

    /// The thread does something. A stretch begins, unless one is under way.
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
        let session =
            session.ok_or_else(|| PyRuntimeError::new_err("no QCoreApplication exists"))?;
        Ok(NativeSigns { table, session: Cell::new(Some(session)), _watched: Arc::clone(&self.0) })
    }

    /// The number of the stretch under way and its length so far in seconds, or None.
    fn under_way(&self) -> Option<(u64, f64)> {
        self.0.state().timing.under_way(clock::now()).map(seconds)
    }
}

impl Stretches {
    fn slot(&self, sign: Sign) -> SignSlot {
        SignSlot { watched: Arc::clone(&self.0), sign }
    }
}

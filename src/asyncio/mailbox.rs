//! Calls that other threads hand over to a thread that runs Qt's event loop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entrance::enter;
use crate::driver::Brake;

/// How long one delivery may take before Qt gets its turn. It is as long as a loop's slice.
const SLICE: Duration = Duration::from_micros(250);

/// If more calls than this wait, the thread that adds another one waits for a delivery. A batch of
/// a loop takes as many calls from other threads.
const ROOM: usize = 1024;

/// Keeps calls in their order. The thread that adds the first call posts an event. A timer delivers
/// the calls that this event leaves over. If each call posted an event, Qt would do nothing but
/// deliver events for as long as threads post them, because Qt also delivers the events that are
/// posted meanwhile.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Mailbox {
    state: Mutex<State>,
    brake: Brake,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Py<PyAny>>,
    /// Whether an event or the timer is going to deliver the calls.
    is_awake: bool,
    /// The functions that wake Qt; None before `connect`.
    ways: Option<Ways>,
}

/// C functions of the binding. No signal handler runs inside them.
struct Ways {
    start_timer: Py<PyAny>,
    stop_timer: Py<PyAny>,
    make_event: Py<PyAny>,
    post_event: Py<PyAny>,
}

#[pymethods]
impl Mailbox {
    #[new]
    fn new() -> Mailbox {
        Mailbox { state: Mutex::default(), brake: Brake::default() }
    }

    /// Sets the functions that start and stop the timer, and that make and post an event.
    fn connect(
        &self,
        start_timer: Py<PyAny>,
        stop_timer: Py<PyAny>,
        make_event: Py<PyAny>,
        post_event: Py<PyAny>,
    ) {
        self.lock().ways = Some(Ways { start_timer, stop_timer, make_event, post_event });
    }

    /// Adds a call, and posts an event if necessary. If the receiver is gone, it raises the
    /// binding's exception.
    fn put(&self, py: Python<'_>, call: Py<PyAny>) -> PyResult<()> {
        let (make, post) = {
            let mut state = self.lock();
            state.calls.push_back(call);
            if state.is_awake {
                return Ok(());
            }
            let Some(ways) = &state.ways else { return Ok(()) };
            let ways = (ways.make_event.clone_ref(py), ways.post_event.clone_ref(py));
            state.is_awake = true;
            ways
        };
        let posted = make.call0(py).and_then(|event| post.call1(py, (event,)));
        if posted.is_err() {
            self.lock().is_awake = false;
        }
        posted.map(drop)
    }

    /// Holds the calling thread up for a moment if the receiver does not keep up with its calls.
    fn give_way(&self, py: Python<'_>) {
        if self.lock().calls.len() > ROOM {
            py.detach(|| self.brake.wait());
        }
    }

    /// Makes calls, for a limited time. Qt calls this in the receiving thread.
    #[pyo3(signature = (*_event))]
    fn __call__(&self, py: Python<'_>, _event: &Bound<'_, PyTuple>) {
        let timer = {
            let state = self.lock();
            state
                .ways
                .as_ref()
                .map(|ways| (ways.start_timer.clone_ref(py), ways.stop_timer.clone_ref(py)))
        };
        let Some((start, stop)) = timer else { return };
        // The timer is started again, so that it also fires in an event loop that a call runs.
        tell(py, &start);
        let begin = Instant::now();
        loop {
            let next = self.lock().calls.pop_front();
            let Some(call) = next else { break };
            enter(call.bind(py), &PyTuple::empty(py));
            if begin.elapsed() >= SLICE {
                break;
            }
        }
        self.brake.turned(|| true);
        let is_done = {
            let mut state = self.lock();
            state.is_awake = !state.calls.is_empty();
            !state.is_awake
        };
        tell(py, if is_done { &stop } else { &start });
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The state is being changed just now, so it cannot be seen. Then it is not freed this
        // time.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        state.calls.iter().try_for_each(|call| visit.call(call))?;
        state.ways.as_ref().map_or(Ok(()), |ways| {
            [&ways.start_timer, &ways.stop_timer, &ways.make_event, &ways.post_event]
                .into_iter()
                .try_for_each(|way| visit.call(way))
        })
    }

    fn __clear__(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state);
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No Python code runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts or stops the timer.
fn tell(py: Python<'_>, call: &Py<PyAny>) {
    enter(call.bind(py), &PyTuple::empty(py));
}

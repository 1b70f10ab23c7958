//! Calls that other threads ask a thread of Qt's to make.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::entrance::enter;
use crate::driver::Brake;

/// How long one delivery may take before Qt gets its turn: as a loop's slice.
const SLICE: Duration = Duration::from_micros(250);

/// As many calls wait as a loop's batch takes of what other threads send. Whoever asks for more
/// waits for a delivery.
const ROOM: usize = 1024;

/// Keeps calls in their order. Whoever asks for one that nobody knows of yet posts an event; the
/// rest is the timer's, since events that are posted while events are delivered are delivered too,
/// and for as long as threads post some, Qt does nothing else.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Mailbox {
    state: Mutex<State>,
    brake: Brake,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Py<PyAny>>,
    /// Whether an event or the timer is going to deliver.
    is_awake: bool,
    /// How Qt is told; None until that is said.
    ways: Option<Ways>,
}

/// C functions of the binding's: no handler of a signal runs in them.
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

    /// Says how Qt is told: the timer started and stopped, an event made and posted.
    fn connect(
        &self,
        start_timer: Py<PyAny>,
        stop_timer: Py<PyAny>,
        make_event: Py<PyAny>,
        post_event: Py<PyAny>,
    ) {
        self.lock().ways = Some(Ways { start_timer, stop_timer, make_event, post_event });
    }

    /// Takes a call, and posts an event if it has to. Raises what the binding raises if the
    /// receiver is gone.
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

    /// Waits a moment, in a thread that has asked for so many calls that the receiver does not keep
    /// up.
    fn give_way(&self, py: Python<'_>) {
        if self.lock().calls.len() > ROOM {
            py.detach(|| self.brake.wait());
        }
    }

    /// Makes calls, for a limited time. In the receiving thread, from Qt.
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
        // Started afresh it fires in an event loop that a call runs, too.
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
        // What is just being changed is merely not freed now.
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

//! The time in which a loop is its thread's running one.
//!
//! Python code cannot guarantee that everything is restored in the end: the handler of a signal may
//! raise its exception between any two steps, also in a `finally` block. Here no Python code runs
//! between the steps.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::class::border::again;
use super::event_loop::Loop;
use super::python_half;
use crate::sys::Kept;

/// Around a run, or an attachment: a context manager that makes the loop the thread's running one,
/// with its hooks for async generators and, in the main thread, its self-pipe as the fd that
/// signals are written to.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Running {
    event_loop: Py<Loop>,
    before: Mutex<Option<Before>>,
    /// What is to be called in the end, the last one first.
    undo: Mutex<Vec<Py<PyAny>>>,
}

/// What was before, and the functions that restore it. Nothing that can fail stands between them
/// and the end.
struct Before {
    set_running_loop: Py<PyAny>,
    set_asyncgen_hooks: Py<PyAny>,
    set_origin_depth: Py<PyAny>,
    set_wakeup_fd: Py<PyAny>,
    asyncgen_hooks: Py<PyTuple>,
    /// None outside the main thread: no signals come there.
    wakeup_fd: Option<Py<PyAny>>,
    /// Another number of the same file. Signals are written to it meanwhile, since the program may
    /// close its own number.
    told: Option<Kept>,
    /// How many frames of a coroutine's origin are noted.
    origin_depth: Py<PyAny>,
}

#[pymethods]
impl Running {
    #[new]
    fn new(event_loop: Py<Loop>) -> Running {
        Running { event_loop, before: Mutex::default(), undo: Mutex::default() }
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let outcome = self.enter(py);
        if outcome.is_err() {
            drop(self.leave(py));
        }
        outcome
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.leave(py)
    }

    /// Has `call` called in the end, though what it undoes may not have been done yet. It may be
    /// called twice.
    fn at_exit(&self, call: Py<PyAny>) {
        lock(&self.undo).push(call);
    }

    /// Makes those calls now.
    fn undo(&self, py: Python<'_>) -> PyResult<()> {
        let mut outcome = Ok(());
        loop {
            let call = lock(&self.undo).pop();
            let Some(call) = call else { return outcome };
            outcome = outcome.and(once(|| call.call0(py).map(drop)));
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        // What is being changed just now cannot be seen. It is only not freed now.
        if let Ok(before) = self.before.try_lock()
            && let Some(before) = &*before
        {
            visit.call(&before.asyncgen_hooks)?;
        }
        match self.undo.try_lock() {
            Ok(undo) => undo.iter().try_for_each(|call| visit.call(call)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let undo = std::mem::take(&mut *lock(&self.undo));
        drop(undo);
    }

    /// Calls `body` with this object meanwhile, and returns what it returns.
    fn run(slf: &Bound<'_, Self>, body: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        this.__enter__(py)?;
        let outcome = body.call1((slf,));
        match (outcome, this.leave(py)) {
            (Ok(result), Ok(())) => Ok(result.unbind()),
            (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
            (Err(first), Err(error)) => Err(during(py, error, &first)),
        }
    }
}

impl Running {
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let this = self.event_loop.bind(py);
        let (sys, signal, events) =
            (py.import("sys")?, py.import("signal")?, py.import("asyncio.events")?);
        let firstiter = this.getattr(intern!(py, "_asyncgen_firstiter_hook"))?;
        let ours = (firstiter, this.getattr(intern!(py, "_asyncgen_finalizer_hook"))?);
        let number = this.getattr(intern!(py, "_csock"))?.call_method0(intern!(py, "fileno"))?;
        let set_asyncgen_hooks = sys.getattr(intern!(py, "set_asyncgen_hooks"))?;
        let set_running_loop = events.getattr(intern!(py, "_set_running_loop"))?;
        *lock(&self.before) = Some(Before {
            set_running_loop: set_running_loop.clone().unbind(),
            set_asyncgen_hooks: set_asyncgen_hooks.clone().unbind(),
            set_origin_depth: sys
                .getattr(intern!(py, "set_coroutine_origin_tracking_depth"))?
                .unbind(),
            set_wakeup_fd: signal.getattr(intern!(py, "set_wakeup_fd"))?.unbind(),
            asyncgen_hooks: sys
                .call_method0(intern!(py, "get_asyncgen_hooks"))?
                .cast_into::<PyTuple>()?
                .unbind(),
            wakeup_fd: None,
            told: None,
            origin_depth: sys
                .call_method0(intern!(py, "get_coroutine_origin_tracking_depth"))?
                .unbind(),
        });
        this.setattr(
            intern!(py, "_thread_id"),
            py.import("_thread")?.call_method0(intern!(py, "get_ident"))?,
        )?;
        if let Some(before) = wake_on_signals(&number)? {
            let is_other = !before.eq(-1)? && !before.eq(&number)?;
            let told = if is_other { Kept::of(before.extract()?) } else { None };
            let forward = told.as_ref().map(Kept::number);
            if let Some(all) = &mut *lock(&self.before) {
                (all.wakeup_fd, all.told) = (Some(before.unbind()), told);
            }
            this.setattr(intern!(py, "_forward_signals_to"), forward)?;
        }
        set_asyncgen_hooks.call1(ours)?;
        set_running_loop.call1((this,))?;
        let is_debugging = (this.get().is_debugging(),);
        this.call_method1(intern!(py, "_set_coroutine_origin_tracking"), is_debugging).map(drop)
    }

    /// Restores everything, unless that was done.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let undone = self.undo(py);
        let before = lock(&self.before).take();
        undone.and(before.map_or(Ok(()), |before| self.restore(py, before)))
    }

    fn restore(&self, py: Python<'_>, before: Before) -> PyResult<()> {
        let this = self.event_loop.bind(py);
        all_of([
            this.setattr(intern!(py, "_stopping"), false),
            this.setattr(intern!(py, "_thread_id"), py.None()),
            before.set_running_loop.call1(py, (py.None(),)).map(drop),
            this.setattr(intern!(py, "_forward_signals_to"), py.None()),
            before.wakeup_fd.map_or(Ok(()), |fd| {
                wake_as_before(this, &before.set_wakeup_fd, fd.bind(py), before.told)
            }),
            once(|| {
                this.call_method1(intern!(py, "_set_coroutine_origin_tracking"), (false,)).map(drop)
            }),
            before.set_origin_depth.call1(py, (before.origin_depth,)).map(drop),
            before.set_asyncgen_hooks.call1(py, before.asyncgen_hooks.into_bound(py)).map(drop),
        ])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No Python code runs under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a signal end the host's wait, so that its Python handler runs at once. Returns what was
/// before; None outside the main thread.
fn wake_on_signals<'py>(fd: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = fd.py();
    let (signal, threading) = (py.import("signal")?, py.import("threading")?);
    let main = threading.getattr("_main_thread")?.getattr("ident")?;
    if !main.eq(py.import("_thread")?.call_method0("get_ident")?)? {
        return Ok(None);
    }
    let options = [("warn_on_full_buffer", false)];
    let options = pyo3::types::IntoPyDict::into_py_dict(options, py)?;
    signal.call_method("set_wakeup_fd", (fd,), Some(&options)).map(Some)
}

fn wake_as_before(
    event_loop: &Bound<'_, Loop>,
    set_wakeup_fd: &Py<PyAny>,
    fd: &Bound<'_, PyAny>,
    told: Option<Kept>,
) -> PyResult<()> {
    let py = event_loop.py();
    if event_loop.getattr(intern!(py, "_signal_handlers"))?.is_truthy()? {
        return Ok(());
    }
    // The fd may have been closed meanwhile, and its number may mean another file.
    let is_same = told.is_none_or(|told| fd.extract().is_ok_and(|number| told.is(number)));
    let restored = if is_same { set_wakeup_fd.call1(py, (fd,)).ok() } else { None };
    restored.map_or_else(|| set_wakeup_fd.call1(py, (-1,)).map(drop), |_| Ok(()))
}

/// The first error of several steps that were all done.
fn all_of<const N: usize>(outcomes: [PyResult<()>; N]) -> PyResult<()> {
    outcomes.into_iter().fold(Ok(()), PyResult::and)
}

/// Makes a call that may be repeated, and repeats it if the handler of a signal has interrupted it.
/// Raises what that handler has raised.
fn once(call: impl FnMut() -> PyResult<()>) -> PyResult<()> {
    let (outcome, interrupts) = again(call);
    outcome?;
    interrupts.into_iter().next().map_or(Ok(()), Err)
}

/// An exception that was raised while another one was being raised.
fn during(py: Python<'_>, error: PyErr, first: &PyErr) -> PyErr {
    if !error.value(py).is(first.value(py)) {
        // Only an object that cannot have a context would refuse it.
        let _refused = error.value(py).setattr("__context__", first.value(py));
    }
    error
}

/// Makes every one of the calls. Each may be repeated, and is repeated if the handler of a signal
/// has interrupted it. Raises the first exception when all calls are made.
#[pyfunction]
#[pyo3(signature = (*calls))]
pub fn ensure(calls: &Bound<'_, PyTuple>) -> PyResult<()> {
    calls.iter().map(|call| once(|| call.call0().map(drop))).fold(Ok(()), PyResult::and)
}

/// Calls `call` while the thread has no running loop and no current task. Returns what it returns.
#[pyfunction]
pub fn aside<'py>(call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = call.py();
    let (events, hooks) = (py.import("asyncio.events")?, python_half::hooks(py)?);
    let set_running_loop = events.getattr("_set_running_loop")?;
    let running = events.call_method0("_get_running_loop")?;
    let function = |name: &str| hooks.call_method1("task_function", (name,));
    let task = if running.is_none() || !hooks.getattr("tasks_are_by_thread")?.is_truthy()? {
        None
    } else {
        Some(function("current_task")?.call1((&running,))?).filter(|task| !task.is_none())
    };
    let enter_task = function("enter_task")?;
    // From here on these are C functions. No signal handler runs in them or between them.
    if let Some(task) = &task {
        function("leave_task")?.call1((&running, task))?;
    }
    let outcome = set_running_loop.call1((py.None(),)).and_then(|_| call.call0());
    let restored = set_running_loop.call1((&running,));
    let entered = task.map_or(Ok(()), |task| enter_task.call1((&running, task)).map(drop));
    restored?;
    entered?;
    outcome
}

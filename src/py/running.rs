//! The time in which a loop is its thread's running one.
//!
//! Python code cannot see to it that everything is as before in the end: the handler of a signal may raise its exception between
//! any two of the steps, in a `finally` block too. Here there is nothing between them.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use super::abi::again;
use super::event_loop::Loop;

/// Around a run, or an attachment: a context manager that makes the loop the thread's running one, with its hooks for async
/// generators and, in the main thread, its self-pipe as the fd that signals are written to.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Running {
    event_loop: Py<Loop>,
    before: Mutex<Option<Before>>,
    /// What is to be called in the end, the last one first.
    undo: Mutex<Vec<Py<PyAny>>>,
}

/// What was before.
struct Before {
    asyncgen_hooks: Py<PyTuple>,
    /// None outside the main thread, where no signals come.
    wakeup_fd: Option<Py<PyAny>>,
    /// Another number of the same file, which is told about signals meanwhile: the program may close its own.
    told: Option<OwnedFd>,
    /// How far back the origin of a coroutine is noted.
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

    /// Has something undone in the end, though it may not have been done yet. The call may be made twice.
    fn at_exit(&self, call: Py<PyAny>) {
        lock(&self.undo).push(call);
    }

    /// Calls `body` meanwhile, with this object, and returns what it returns.
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
        let (sys, this) = (py.import("sys")?, self.event_loop.bind(py));
        let ours = (this.getattr("_asyncgen_firstiter_hook")?, this.getattr("_asyncgen_finalizer_hook")?);
        let asyncgen_hooks = sys.call_method0("get_asyncgen_hooks")?.cast_into::<PyTuple>()?.unbind();
        let origin_depth = sys.call_method0("get_coroutine_origin_tracking_depth")?.unbind();
        let number = this.getattr("_csock")?.call_method0("fileno")?;
        *lock(&self.before) = Some(Before { asyncgen_hooks, wakeup_fd: None, told: None, origin_depth });
        this.setattr("_thread_id", py.import("_thread")?.call_method0("get_ident")?)?;
        if let Some(before) = wake_on_signals(&number)? {
            let is_other = !before.eq(-1)? && !before.eq(&number)?;
            let told = if is_other { duplicate(before.extract()?) } else { None };
            let forward = told.as_ref().map(AsRawFd::as_raw_fd);
            if let Some(all) = &mut *lock(&self.before) {
                (all.wakeup_fd, all.told) = (Some(before.unbind()), told);
            }
            this.setattr("_forward_signals_to", forward)?;
        }
        sys.call_method1("set_asyncgen_hooks", ours)?;
        py.import("asyncio.events")?.call_method1("_set_running_loop", (this,))?;
        this.call_method1("_set_coroutine_origin_tracking", (this.get().is_debugging(),)).map(drop)
    }

    /// Makes everything as it was, if it is not so yet.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let undone = self.undo(py);
        let before = lock(&self.before).take();
        undone.and(before.map_or(Ok(()), |before| self.restore(py, before)))
    }

    /// Undoes what was done meanwhile.
    fn undo(&self, py: Python<'_>) -> PyResult<()> {
        let mut outcome = Ok(());
        loop {
            let call = lock(&self.undo).pop();
            let Some(call) = call else { return outcome };
            outcome = outcome.and(once(|| call.call0(py).map(drop)));
        }
    }

    fn restore(&self, py: Python<'_>, before: Before) -> PyResult<()> {
        let this = self.event_loop.bind(py);
        let sys = py.import("sys")?;
        all_of([
            this.setattr("_stopping", false),
            this.setattr("_thread_id", py.None()),
            py.import("asyncio.events")?.call_method1("_set_running_loop", (py.None(),)).map(drop),
            this.setattr("_forward_signals_to", py.None()),
            before.wakeup_fd.map_or(Ok(()), |fd| wake_as_before(this, fd.bind(py), before.told)),
            once(|| this.call_method1("_set_coroutine_origin_tracking", (false,)).map(drop)),
            sys.call_method1("set_coroutine_origin_tracking_depth", (before.origin_depth,)).map(drop),
            sys.call_method1("set_asyncgen_hooks", before.asyncgen_hooks.into_bound(py)).map(drop),
        ])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No Python code runs under the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a signal end the host's wait, so that its Python handler runs at once. What was before; None outside the main thread.
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

fn wake_as_before(event_loop: &Bound<'_, Loop>, fd: &Bound<'_, PyAny>, told: Option<OwnedFd>) -> PyResult<()> {
    let py = event_loop.py();
    if event_loop.getattr("_signal_handlers")?.is_truthy()? {
        return Ok(());
    }
    let (signal, none) = (py.import("signal")?, PyInt::new(py, -1));
    // It may have been closed meanwhile, and its number be another file's.
    let is_same = told.is_none_or(|told| fd.extract().is_ok_and(|number| is_same_file(number, &told)));
    let restored = signal.call_method1("set_wakeup_fd", (if is_same { fd } else { none.as_any() },));
    restored.or_else(|_| signal.call_method1("set_wakeup_fd", (none,))).map(drop)
}

/// Another number of the same open file; `None` if there is none.
fn duplicate(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: no code of Python's runs before the call is over; a number that names no open file is answered with EBADF.
    (number >= 0).then(|| rustix::io::fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(number) }, 0).ok()).flatten()
}

fn is_same_file(number: RawFd, file: &OwnedFd) -> bool {
    if number < 0 {
        return false;
    }
    // SAFETY: no code of Python's runs before the call is over; a number that names no open file is answered with EBADF.
    let (found, known) = (rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) }), rustix::fs::fstat(file));
    matches!((found, known), (Ok(found), Ok(known)) if (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino))
}

/// The first error of what was done all the same.
fn all_of<const N: usize>(outcomes: [PyResult<()>; N]) -> PyResult<()> {
    outcomes.into_iter().fold(Ok(()), PyResult::and)
}

/// Makes a call that may be made twice; again if the handler of a signal has interrupted it. Raises what that has raised.
fn once(call: impl FnMut() -> PyResult<()>) -> PyResult<()> {
    let (outcome, interrupts) = again(call);
    outcome?;
    interrupts.into_iter().next().map_or(Ok(()), Err)
}

/// An exception that was raised while another was on its way.
fn during(py: Python<'_>, error: PyErr, first: &PyErr) -> PyErr {
    if !error.value(py).is(first.value(py)) {
        // Only what cannot have a context would refuse it.
        let _refused = error.value(py).setattr("__context__", first.value(py));
    }
    error
}

/// Makes every one of the calls, which may be made twice: again if the handler of a signal has interrupted it. Raises the first
/// exception when all are made.
#[pyfunction]
#[pyo3(signature = (*calls))]
pub fn ensure(calls: &Bound<'_, PyTuple>) -> PyResult<()> {
    calls.iter().map(|call| once(|| call.call0().map(drop))).fold(Ok(()), PyResult::and)
}

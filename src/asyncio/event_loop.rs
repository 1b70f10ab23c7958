//! `Loop`: the Rust half of the event loop. `qtloop.EventLoop` inherits from it first, and then
//! from `asyncio.SelectorEventLoop`, on Windows from `asyncio.ProactorEventLoop`.
//!
//! State that both halves need lives here. It has the names by which the stock class knows it
//! (`_debug`, `_closed`, `_stopping`), so that inherited methods read and write it.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyInt, PyList, PyTuple};

use super::class::border::{attached, to_float, to_text};
use super::client::{Handles, PyDriver};
use super::context::current_context;
use super::errors::os_error;
use super::handle::{self, HandleParts};
use super::item::Item;
use super::registry::Transports;
use super::rust_futures::{RustFutures, warn_of_leak};
use super::{host, metrics, queues};
use crate::core::{Direction, Fd, Phase, Refused, TimerKey};
use crate::driver::{Driver, Ended, RunError, Strategy};
use crate::host::bare::LeavableHost;
use crate::host::{Exec, Host};
use crate::sys::Poller;

/// The Rust half of `qtloop.EventLoop`. It is not to be used by itself.
#[pyclass(subclass, frozen, module = "qtloop._core", name = "Loop")]
pub struct Loop {
    /// Set by `__init__` and not by `__new__`, since subclasses may have other arguments.
    driver: OnceCell<Rc<PyDriver>>,
    rust_futures: RustFutures,
    /// Watched objects that are not numbers, each with its handle, by the number that the object
    /// had and the direction. A closed socket has lost its number, and must still be found.
    fileobjs: Py<PyDict>,
    transports: Transports,
}

// SAFETY: the module declares that it needs the GIL, and every method runs with it held, as does
// every turn; no borrow of the driver's cells is kept while the GIL may be released, which is while
// a host's method or a callback runs.
unsafe impl Send for Loop {}
// SAFETY: as above.
unsafe impl Sync for Loop {}

impl Loop {
    /// # Errors
    /// `RuntimeError` if a subclass has not called `__init__`.
    pub fn driver(&self) -> PyResult<&Rc<PyDriver>> {
        self.driver
            .get()
            .ok_or_else(|| PyRuntimeError::new_err("EventLoop.__init__() was not called"))
    }

    /// # Errors
    /// As [`driver`](Loop::driver); `RuntimeError` if the loop is closed.
    #[inline]
    pub fn open_driver(&self) -> PyResult<&Rc<PyDriver>> {
        let driver = self.driver()?;
        if driver.phase() == Phase::Closed {
            return Err(PyRuntimeError::new_err("Event loop is closed"));
        }
        Ok(driver)
    }

    /// The transports that have an fd.
    pub fn transports(&self) -> &Transports {
        &self.transports
    }

    pub fn is_debugging(&self) -> bool {
        self.driver.get().is_some_and(|driver| driver.client().debug())
    }

    /// Ends the run or the attachment in this thread by an exception. Returns whether it can.
    pub fn raise_soon(&self, py: Python<'_>, error: &PyErr) -> bool {
        let Some(driver) = self.driver.get().filter(|driver| driver.phase() != Phase::Closed)
        else {
            return false;
        };
        driver.client().raise_soon(py, error.clone_ref(py));
        true
    }

    /// What debug mode checks before a call is scheduled.
    pub fn check_call(
        &self,
        this: &Bound<'_, Self>,
        callback: &Bound<'_, PyAny>,
        method: &str,
    ) -> PyResult<()> {
        if method != "call_soon_threadsafe" {
            this.call_method0("_check_thread")?;
        }
        this.call_method1("_check_callback", (callback, method)).map(drop)
    }

    /// Notes where the handle was made.
    pub fn note_origin(&self, handle: &Bound<'_, PyAny>) -> PyResult<()> {
        let stack = self.driver()?.client().extract_stack(handle.py())?;
        handle::set_source_traceback(handle, stack)
    }

    /// The timer was cancelled: takes it out of the heap.
    pub fn forget_timer(&self, timer: &Bound<'_, PyAny>, key: TimerKey) -> PyResult<()> {
        let item = self.driver()?.cancel(key);
        handle::leave_queue(timer);
        handle::set_timer_key(timer, None)?;
        if let Some(Item::Handle(handle)) = item {
            drop(handle.into_bound(timer.py()));
        }
        Ok(())
    }

    /// Closes the driver and drops everything that is scheduled. Returns whether it could drop
    /// everything: Rust futures of another thread are leaked.
    fn close_driver(&self, py: Python<'_>) -> Result<bool, Refused> {
        let Some(driver) = self.driver.get() else { return Ok(true) };
        let scheduled = driver.close()?;
        handle::leave_queues(py);
        Ok(self.rust_futures.close(scheduled))
    }

    /// Cancels an item that has lost its watch. A job is run once more, so that what waits for it
    /// sees that the watch has ended.
    fn cancel_item(&self, py: Python<'_>, item: Item) -> PyResult<()> {
        if let Item::Job(_) = item {
            self.driver()?.call_soon(item);
            return Ok(());
        }
        item.cancel(py)
    }

    fn watch(
        this: &Bound<'_, Self>,
        direction: Direction,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: Bound<'_, PyTuple>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = this.py();
        let event_loop = this.get();
        let driver = event_loop.open_driver()?;
        let number = driver.client().file_descriptor(fd)?;
        let context = context.map_or_else(|| current_context(py), Ok)?;
        let handle =
            HandleParts { callback, args, event_loop: this.as_any(), context }.into_handle()?;
        handle::track(&handle);
        if event_loop.is_debugging() {
            event_loop.note_origin(&handle)?;
        }
        let replaced = driver
            .watch(number, direction, Item::Handle(handle.clone().unbind()))
            .map_err(os_error)?;
        if !fd.is_instance_of::<PyInt>() {
            event_loop.fileobjs.bind(py).set_item((number, direction as u8), (fd, &handle))?;
        }
        if let Some(replaced) = replaced {
            event_loop.cancel_item(py, replaced)?;
        }
        Ok(handle.unbind())
    }

    fn unwatch(
        this: &Bound<'_, Self>,
        direction: Direction,
        fd: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let driver = this.get().driver()?;
        if driver.phase() == Phase::Closed {
            return Ok(false);
        }
        let py = this.py();
        let number = match driver.client().file_descriptor(fd) {
            Ok(number) => number,
            // No fd has such a number, so it has no watch.
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => return Ok(false),
            Err(error) => return this.get().unwatch_closed(fd, direction, error),
        };
        let removed = driver.unwatch(number, direction);
        this.get().forget_fileobj(py, number, direction)?;
        removed.map_or(Ok(false), |item| this.get().cancel_item(py, item).map(|()| true))
    }

    /// Ends the watch of an object that has no number any more. The number may be watched for
    /// another object; that watch stays. Raises `error` if the object is not watched.
    fn unwatch_closed(
        &self,
        fd: &Bound<'_, PyAny>,
        direction: Direction,
        error: PyErr,
    ) -> PyResult<bool> {
        let (py, driver) = (fd.py(), self.driver()?);
        let mut is_known = false;
        for (key, value) in self.fileobjs.bind(py).copy()? {
            let (number, side): (Fd, u8) = key.extract()?;
            let (fileobj, handle): (Bound<'_, PyAny>, Bound<'_, PyAny>) = value.extract()?;
            let side =
                if side == Direction::Read as u8 { Direction::Read } else { Direction::Write };
            if !fileobj.is(fd) || !driver.is_watched_by(number, side, |item| item.is_of(&handle)) {
                continue;
            }
            is_known = true;
            if side == direction {
                let removed = driver.unwatch(number, direction);
                self.forget_fileobj(py, number, direction)?;
                return removed.map_or(Ok(false), |item| self.cancel_item(py, item).map(|()| true));
            }
        }
        if is_known { Ok(false) } else { Err(error) }
    }

    fn forget_fileobj(&self, py: Python<'_>, number: Fd, direction: Direction) -> PyResult<()> {
        let fileobjs = self.fileobjs.bind(py);
        if fileobjs.is_empty() {
            return Ok(());
        }
        fileobjs.call_method1("pop", ((number, direction as u8), py.None())).map(drop)
    }
}

/// The strategies by their names in Python. A system without sets has no name for them.
const STRATEGIES: [(&str, Strategy); 2] =
    [(Poller::NAME, Strategy::Set), ("notifier", Strategy::Notifier)];

/// How fds are watched by default: by a set, where there is such a thing.
pub const DEFAULT_FDS: &str = STRATEGIES[Poller::NAME.is_empty() as usize].0;

fn strategy(name: &str) -> PyResult<Strategy> {
    let known = || STRATEGIES.into_iter().filter(|(name, _)| !name.is_empty());
    known().find(|(known, _)| *known == name).map(|(_, strategy)| strategy).ok_or_else(|| {
        let known: Vec<_> = known().map(|(known, _)| format!("'{known}'")).collect();
        PyValueError::new_err(format!("fds must be {}, not '{name}'", known.join(" or ")))
    })
}

fn run_error(error: RunError) -> PyErr {
    match error {
        RunError::Refused(refused) => PyRuntimeError::new_err(refused.to_string()),
        // An exception that came through a Python host is raised as it is.
        RunError::Host(error) => match error.into_inner().downcast::<PyErr>() {
            Ok(error) => *error,
            Err(error) => PyRuntimeError::new_err(error.to_string()),
        },
        RunError::Io(error) => os_error(error),
    }
}

#[pymethods]
impl Loop {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Loop {
        let fileobjs = PyDict::new(_args.py()).unbind();
        Loop {
            driver: OnceCell::new(),
            rust_futures: RustFutures::default(),
            fileobjs,
            transports: Transports::default(),
        }
    }

    /// Makes the driver. `host` is what `qtloop._host_choice.resolve` returned.
    fn _open(&self, host: &Bound<'_, PyAny>, fds: &str) -> PyResult<()> {
        let py = host.py();
        let strategy = strategy(fds)?;
        let fatal = Rc::default();
        let host_in_use = LeavableHost::new(host::from_python(host, &fatal)?);
        let driver = Driver::new(host_in_use, Handles::new(py, Rc::clone(&fatal))?, strategy)?;
        fatal.connect(driver.remote());
        self.driver
            .set(Rc::new(driver))
            .map_err(|_| PyRuntimeError::new_err("EventLoop.__init__() was called twice"))
    }

    /// The loop's clock, in seconds, as `time.monotonic()`.
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_float(py, self.driver()?.now().as_secs())
    }

    /// The host in use: `"qt"`, `"binding"`, `"sim"`, or the name of one for another run loop.
    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_text(py, self.driver()?.host().name())
    }

    /// How fds are watched: `"epoll"`, or `"kqueue"` on macOS and the BSDs; or `"notifier"`,
    /// which is the only way on Windows.
    #[getter]
    fn fds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let strategy = self.driver()?.strategy();
        let named = STRATEGIES.iter().find(|(_, known)| *known == strategy);
        to_text(py, named.map_or("", |(name, _)| name))
    }

    /// How long callbacks may run before Qt gets its turn, in seconds.
    #[getter]
    fn slice<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_float(py, self.driver()?.slice().as_secs_f64())
    }

    #[setter]
    fn set_slice(&self, slice: f64) -> PyResult<()> {
        let slice = Duration::try_from_secs_f64(slice)
            .map_err(|_| PyValueError::new_err("slice must be a non-negative number of seconds"))?;
        self.driver()?.set_slice(slice);
        Ok(())
    }

    /// What was done and what is pending, under the names that `qtloop.Metrics` has for it.
    fn _counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        metrics::counters(py, self.driver()?)
    }

    /// Whether the loop is in debug mode.
    fn get_debug(&self) -> bool {
        self.is_debugging()
    }

    #[getter]
    fn _debug(&self) -> bool {
        self.is_debugging()
    }

    #[setter(_debug)]
    fn store_debug(&self, debug: &Bound<'_, PyAny>) -> PyResult<()> {
        self.driver()?.client().set_debug(debug.is_truthy()?);
        Ok(())
    }

    #[getter]
    fn _stopping(&self) -> PyResult<bool> {
        Ok(self.driver()?.is_stopping())
    }

    #[setter(_stopping)]
    fn store_stopping(&self, stopping: bool) -> PyResult<()> {
        self.driver()?.set_stopping(stopping);
        Ok(())
    }

    /// Ends the run, and the runs inside it, when the iteration under way is over.
    ///
    /// This is no Python code: the exception of a signal handler in here would keep the run from
    /// ending.
    fn stop(this: &Bound<'_, Self>) -> PyResult<()> {
        let py = this.py();
        this.get().store_stopping(true)?;
        let nested = this.getattr(intern!(py, "_nested"))?.cast_into::<PyList>()?;
        nested.iter().try_for_each(|nested| nested.call_method0(intern!(py, "stop")).map(drop))
    }

    #[getter]
    fn _closed(&self) -> bool {
        // A loop that was never opened has nothing to close.
        self.driver.get().is_none_or(|driver| driver.phase() == Phase::Closed)
    }

    /// The stock class sets `False` when it is made and `True` when it is closed. The latter drops
    /// everything that is scheduled.
    #[setter(_closed)]
    fn store_closed(&self, py: Python<'_>, closed: bool) -> PyResult<()> {
        if closed {
            self.driver()?;
            let is_clean = self
                .close_driver(py)
                .map_err(|refused| PyRuntimeError::new_err(refused.to_string()))?;
            if !is_clean {
                warn_of_leak(py)?;
            }
        }
        Ok(())
    }

    #[pyo3(signature = (fd, callback, *args, context=None))]
    fn _add_reader(
        this: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: Bound<'_, PyTuple>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Self::watch(this, Direction::Read, fd, callback, args, context)
    }

    #[pyo3(signature = (fd, callback, *args, context=None))]
    fn _add_writer(
        this: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: Bound<'_, PyTuple>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Self::watch(this, Direction::Write, fd, callback, args, context)
    }

    fn _remove_reader(this: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::unwatch(this, Direction::Read, fd)
    }

    fn _remove_writer(this: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::unwatch(this, Direction::Write, fd)
    }

    /// The watched fds, each with the handles of its reader and its writer, or None. True stands
    /// for a Rust future.
    fn _watched<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (fd, reader, writer) in self.driver()?.watched(|item| item.shown(py)) {
            dict.set_item(fd, (reader, writer))?;
        }
        Ok(dict)
    }

    /// The transports in Rust whose file is still open, in no order.
    fn _live_transports<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.transports.all(py)
    }

    /// The handles that are ready, in order, and the handles of the timers, in no order.
    fn _queued<'py>(this: &Bound<'py, Self>) -> PyResult<queues::Queued<'py>> {
        queues::handles(this.as_any(), this.get().driver()?)
    }

    /// Runs the first step of a task that was just made, inside whatever is under way. Returns
    /// whether it could.
    fn _begin_now(this: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        queues::begin_now(this.get().driver()?, task)
    }

    /// Queues a handle that somebody else made.
    fn _add_callback(&self, py: Python<'_>, handle: Py<PyAny>) -> PyResult<()> {
        let driver = self.driver()?;
        if !handle::is_cancelled(py, &handle) {
            driver.call_soon(Item::Handle(handle));
        }
        Ok(())
    }

    /// Wakes the loop, from any thread.
    fn _write_to_self(&self) -> PyResult<()> {
        self.driver()?.remote().wake();
        Ok(())
    }

    /// Raises RuntimeError if a transport uses the fd.
    fn _ensure_fd_no_transport(&self, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        self.transports.check_free(fd)
    }

    /// Runs the host's loop. Returns None when the loop was stopped, or the exit code when the
    /// application quits.
    ///
    /// Raises what a callback raised, if that was `SystemExit` or `KeyboardInterrupt`.
    fn _exec(this: &Bound<'_, Self>, drain: bool) -> PyResult<Option<i32>> {
        this.get().rust_futures.check_thread()?;
        let driver = Rc::clone(this.get().driver()?);
        let begun = driver.client().begin(this.as_any(), false);
        let ended = driver.run(if drain { Exec::Drain } else { Exec::Application });
        drop(begun);
        if let Some(fatal) = driver.client().take_fatal() {
            if let Err(RunError::Host(error)) = ended {
                // This may also be an exception of the host's own `run`.
                run_error(RunError::Host(error)).write_unraisable(this.py(), Some(this));
            }
            return Err(fatal);
        }
        match ended {
            Ok(Ended::Stopped) => Ok(None),
            Ok(Ended::HostQuit(code)) => Ok(Some(code)),
            Err(error) => Err(run_error(error)),
        }
    }

    /// From now on, and for good, the loop runs without its host's run loop, which has ended. Not
    /// while it runs.
    fn _leave_host(&self) -> PyResult<()> {
        let driver = self.open_driver()?;
        if driver.phase() == Phase::Running {
            return Err(run_error(RunError::Refused(Refused::Running)));
        }
        driver.host().leave(host::waiting());
        Ok(())
    }

    /// The loop's table for Rust futures, in a capsule. From now on the loop belongs to this
    /// thread.
    #[getter]
    fn _executor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        self.rust_futures.table(py, self.open_driver()?)
    }

    /// Accepts turns from any loop of the host that runs on this thread. `is_guest`: another
    /// asyncio loop runs here too, and is the running one between the turns.
    fn _attach(this: &Bound<'_, Self>, is_guest: bool) -> PyResult<()> {
        this.get().rust_futures.check_thread()?;
        let driver = this.get().driver()?;
        driver.attach().map_err(run_error)?;
        std::mem::forget(driver.client().begin(this.as_any(), is_guest)); // `_detach` ends it.
        Ok(())
    }

    /// Ends what `_attach` began, and returns the `SystemExit` or `KeyboardInterrupt` that a
    /// callback raised meanwhile, or None.
    ///
    /// Raises RuntimeError from within a callback.
    fn _detach(&self) -> PyResult<Option<PyErr>> {
        let driver = self.driver()?;
        driver.detach().map_err(|refused| PyRuntimeError::new_err(refused.to_string()))?;
        driver.client().end();
        Ok(driver.client().take_fatal())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.fileobjs)?;
        match self.driver.get() {
            Some(driver) => driver.visit(|item| item.visit(&visit)),
            None => Ok(()),
        }
    }

    fn __clear__(&self) {
        let _closed = attached(|py| self.close_driver(py).map(drop));
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The run of a loop refers to it.
        let _closed = attached(|py| self.close_driver(py).map(drop));
    }
}

//! How a handle is run, and where its exceptions go.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::ptr;
use std::rc::Rc;

use pyo3::exceptions::PyOverflowError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::class::border::caught;
use super::context::in_context;
use super::errors::is_fatal;
use super::fatal::Fatal;
use super::handle;
use super::item::{EventHandler, Item};
use super::nested::{self, Suspended, Switches};
use super::python_half;
use super::read_buffer::ReadBuffer;
use crate::core::Fd;
use crate::driver::{Client, Driver};
use crate::host::bare::LeavableHost;

/// The driver that every Python loop has.
pub type PyDriver = Driver<LeavableHost, Handles>;

/// Runs handles.
pub struct Handles {
    /// The Python module that does what happens rarely: it reports errors, and times callbacks in
    /// debug mode.
    hooks: Py<PyModule>,
    switches: Switches,
    debug: Cell<bool>,
    /// The exception that has ended the run: a `SystemExit` or `KeyboardInterrupt`, or what the
    /// handler of a signal has raised.
    fatal: Rc<Fatal>,
    /// The context of the innermost handle that runs. Null if no handle runs, or if a nested turn
    /// has left the context for now; Python's None if the context is not known. It is borrowed from
    /// the handle, which outlives its run.
    context: Cell<*mut ffi::PyObject>,
    /// How many turns on the stack could not leave a context.
    obstructed: Cell<u32>,
    /// The loop, while it runs.
    event_loop: RefCell<Option<Py<PyAny>>>,
    /// Whether another loop is the thread's running one, and goes on when a turn is over.
    is_guest: Cell<bool>,
    read_buffer: ReadBuffer,
}

impl Handles {
    pub fn new(py: Python<'_>, fatal: Rc<Fatal>) -> PyResult<Handles> {
        let hooks = python_half::hooks(py)?;
        Ok(Handles {
            switches: Switches::new(hooks, Rc::clone(&fatal))?,
            hooks: hooks.clone().unbind(),
            debug: Cell::new(false),
            fatal,
            context: Cell::new(ptr::null_mut()),
            obstructed: Cell::new(0),
            event_loop: RefCell::new(None),
            is_guest: Cell::new(false),
            read_buffer: ReadBuffer::default(),
        })
    }

    /// The loop begins to run, until the result is dropped. A guest is the thread's running loop
    /// only during its turns.
    #[must_use]
    pub fn begin(&self, event_loop: &Bound<'_, PyAny>, is_guest: bool) -> Begun<'_> {
        self.is_guest.set(is_guest);
        let before = self.event_loop.replace(Some(event_loop.clone().unbind()));
        drop(before);
        Begun(self)
    }

    /// The loop has stopped running.
    pub fn end(&self) {
        let event_loop = self.event_loop.take();
        drop(event_loop);
    }

    pub fn debug(&self) -> bool {
        self.debug.get()
    }

    pub fn set_debug(&self, debug: bool) {
        self.debug.set(debug);
    }

    /// The exception that has ended the run, if one has.
    pub fn take_fatal(&self) -> Option<PyErr> {
        self.fatal.take()
    }

    /// Ends the run, or the attachment, by an exception that came in a place where nobody could
    /// catch it.
    pub fn raise_soon(&self, py: Python<'_>, error: PyErr) {
        self.fatal.raise_soon(py, error);
    }

    /// Notes which context the item under way has entered by itself; null: none. Returns what was
    /// noted before. The object must outlive the item's run.
    pub fn note_context(&self, context: *mut ffi::PyObject) -> *mut ffi::PyObject {
        self.context.replace(context)
    }

    /// The memory that everything on this loop reads into.
    pub fn read_buffer(&self) -> &ReadBuffer {
        &self.read_buffer
    }

    /// The number behind a file descriptor or an object that has one, checked as Python's selectors
    /// do.
    pub fn file_descriptor(&self, fd: &Bound<'_, PyAny>) -> PyResult<Fd> {
        if let Ok(number) = fd.extract::<Fd>()
            && number >= 0
        {
            return Ok(number);
        }
        let number = self.hooks.bind(fd.py()).call_method1("fileobj_to_fd", (fd,))?;
        number
            .extract()
            .map_err(|_| PyOverflowError::new_err("Python int too large to convert to C int"))
    }

    /// The stack of the Python function that called into Rust.
    pub fn extract_stack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.hooks.bind(py).call_method0("extract_stack")
    }

    /// Ends the run by an exception, unless another one has ended it already.
    fn fail(&self, error: PyErr) -> ControlFlow<()> {
        self.fatal.set(error);
        ControlFlow::Break(())
    }

    /// Does what `Handle._run` does: `SystemExit` and `KeyboardInterrupt` leave the loop, all other
    /// exceptions go to the exception handler.
    fn failed(&self, handle: &Bound<'_, PyAny>, error: PyErr) -> ControlFlow<()> {
        let py = handle.py();
        if is_fatal(py, &error) {
            return self.fail(error);
        }
        handle::track(handle); // The exception handler may keep it.
        match self.hooks.bind(py).call_method1("report_error", (handle, error)) {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => self.fail(error),
        }
    }

    /// Reports an error that nobody can catch, in the way in which Python reports such errors.
    fn complain(&self, py: Python<'_>, error: &PyErr) {
        error.clone_ref(py).write_unraisable(py, Some(self.hooks.bind(py)));
    }

    #[inline]
    fn run_handle(&self, handle: &Bound<'_, PyAny>) -> ControlFlow<()> {
        let py = handle.py();
        handle::leave_queue(handle);
        if self.debug.get() {
            handle::track(handle); // Python code gets it.
            let context = handle::context(handle).unwrap_or_else(|| py.None().into_bound(py));
            let outcome = caught(|| {
                handle::entered(&self.context, context.as_ptr(), || self.run_timed(handle))
            });
            // The handle reports what its callback raises. All other exceptions leave the loop.
            return outcome.map_or_else(|error| self.fail(error), ControlFlow::Continue);
        }
        match caught(|| handle::run(handle, &self.context)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.failed(handle, error),
        }
    }

    fn run_event(&self, object: &Bound<'_, PyAny>, event: &EventHandler) -> ControlFlow<()> {
        if self.debug.get() {
            return match self.event_handle(object, event) {
                Ok(handle) => self.run_handle(&handle),
                Err(error) => self.lost(object, error),
            };
        }
        let outcome = (event.context)(object).and_then(|context| {
            let run = || in_context(&context, || (event.run)(object));
            caught(|| handle::entered(&self.context, context.as_ptr(), run))
        });
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => match self.event_handle(object, event) {
                Ok(handle) => self.failed(&handle, error),
                Err(_) => self.lost(object, error),
            },
        }
    }

    fn event_handle<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        event: &EventHandler,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = object.py();
        let event_loop =
            self.event_loop.borrow().as_ref().map(|event_loop| event_loop.clone_ref(py));
        event.to_handle(object, event_loop.unwrap_or_else(|| py.None()).bind(py))
    }

    /// An exception in an event for which no handle could be made.
    fn lost(&self, object: &Bound<'_, PyAny>, error: PyErr) -> ControlFlow<()> {
        if is_fatal(object.py(), &error) {
            return self.fail(error);
        }
        error.write_unraisable(object.py(), Some(object));
        ControlFlow::Continue(())
    }

    fn run_timed(&self, handle: &Bound<'_, PyAny>) -> PyResult<()> {
        self.hooks.bind(handle.py()).call_method1("run_timed", (handle,)).map(drop)
    }
}

/// A run that [`Handles::begin`] began. It ends when this is dropped, also by a panic.
pub struct Begun<'a>(&'a Handles);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Client for Handles {
    type Item = Item;
    type Suspended = Option<Box<Suspended>>;

    fn run(&self, item: Item) -> ControlFlow<()> {
        // SAFETY: turns come out of a host's event, and every Python host's event holds the GIL.
        let py = unsafe { Python::assume_attached() };
        let ran = match item {
            Item::Handle(handle) => self.run_handle(&handle.into_bound(py)),
            Item::Event(object, event) => self.run_event(&object.into_bound(py), event),
            Item::Job(job) => {
                job.run();
                ControlFlow::Continue(())
            }
        };
        // A method of the host may have raised something meanwhile.
        if self.fatal.take_pending() { ControlFlow::Break(()) } else { ran }
    }

    fn suspend(&self) -> Option<Box<Suspended>> {
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        let is_idle = self.context.get().is_null() && !self.is_guest.get();
        let event_loop =
            self.event_loop.borrow().as_ref().map(|event_loop| event_loop.clone_ref(py))?;
        if is_idle && !self.switches.is_starting_eagerly(py, &event_loop) {
            return None;
        }
        let event_loop = event_loop.into_bound(py);
        let running = self.context.replace(ptr::null_mut());
        let suspended = Suspended::new(&self.switches, &event_loop, running, self.is_guest.get());
        let suspended = suspended.inspect_err(|error| {
            self.complain(py, error);
            self.context.set(running);
        });
        let suspended = suspended.ok()?;
        if suspended.is_obstructed() {
            self.obstructed.update(|turns| turns + 1);
        }
        Some(Box::new(suspended))
    }

    fn resume(&self, suspended: Option<Box<Suspended>>) {
        let Some(suspended) = suspended else { return };
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        if suspended.is_obstructed() {
            self.obstructed.update(|turns| turns - 1);
        }
        self.context.set(suspended.running());
        if let Err(error) = suspended.restore(py, &self.switches) {
            self.complain(py, &error);
        }
    }

    #[inline]
    fn admits(&self, item: &Item) -> bool {
        if self.obstructed.get() == 0 {
            return true;
        }
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        item.context(py).is_none_or(|context| nested::can_enter(&context))
    }

    fn interrupted(&self) -> ControlFlow<()> {
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        // A signal may have come while Qt waited. What its handler raises leaves the loop, as it
        // leaves a selector's wait. A binding may have run the handler before this call, and left
        // the exception set. Or a method of the host has raised it.
        if self.fatal.take_pending() {
            return ControlFlow::Break(());
        }
        if let Some(error) = PyErr::take(py) {
            return self.fail(error);
        }
        py.check_signals().map_or_else(|error| self.fail(error), ControlFlow::Continue)
    }

    fn forsake(&self, item: Item) {
        // SAFETY: Python's loop is called with the GIL held.
        let py = unsafe { Python::assume_attached() };
        if let Err(error) = item.cancel(py) {
            self.complain(py, &error);
        }
    }

    fn share(&self, item: &Item) -> Option<Item> {
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        item.share(py)
    }
}

//! How a Python handle is run, and what becomes of its exceptions.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOverflowError, PySystemExit};
use pyo3::prelude::*;

use super::handle;
use crate::core::Fd;
use crate::driver::Client;

/// Runs handles.
pub struct Handles {
    /// The Python module that does what is rare: reporting an error, timing a callback in debug mode.
    hooks: Py<PyModule>,
    debug: Cell<bool>,
    /// What ended the run: a `SystemExit` or `KeyboardInterrupt`.
    fatal: RefCell<Option<PyErr>>,
}

impl Handles {
    pub fn new(py: Python<'_>) -> PyResult<Handles> {
        let hooks = py.import("qtloop._hooks")?.unbind();
        Ok(Handles { hooks, debug: Cell::new(false), fatal: RefCell::new(None) })
    }

    pub fn debug(&self) -> bool {
        self.debug.get()
    }

    pub fn set_debug(&self, debug: bool) {
        self.debug.set(debug);
    }

    /// What ended the run, if an exception did.
    pub fn take_fatal(&self) -> Option<PyErr> {
        self.fatal.take()
    }

    /// The number behind a file descriptor or an object that has one, checked as Python's selectors do.
    pub fn file_descriptor(&self, fd: &Bound<'_, PyAny>) -> PyResult<Fd> {
        if let Ok(number) = fd.extract::<Fd>()
            && number >= 0
        {
            return Ok(number);
        }
        let number = self.hooks.bind(fd.py()).call_method1("fileobj_to_fd", (fd,))?;
        number.extract().map_err(|_| PyOverflowError::new_err("Python int too large to convert to C int"))
    }

    /// The stack of the Python function that called into Rust.
    pub fn extract_stack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.hooks.bind(py).call_method0("extract_stack")
    }

    /// Ends the run with an exception, unless one has ended it already.
    fn fail(&self, error: PyErr) -> ControlFlow<()> {
        self.fatal.borrow_mut().get_or_insert(error);
        ControlFlow::Break(())
    }

    /// As `Handle._run` does it: `SystemExit` and `KeyboardInterrupt` leave the loop, all else goes to the exception handler.
    fn failed(&self, handle: &Bound<'_, PyAny>, error: PyErr) -> ControlFlow<()> {
        let py = handle.py();
        if is_fatal(py, &error) {
            return self.fail(error);
        }
        match self.hooks.bind(py).call_method1("report_error", (handle, error)) {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) if is_fatal(py, &error) => self.fail(error),
            Err(error) => {
                error.write_unraisable(py, Some(handle));
                ControlFlow::Continue(())
            }
        }
    }

    fn run_timed(&self, handle: &Bound<'_, PyAny>) -> PyResult<()> {
        self.hooks.bind(handle.py()).call_method1("run_timed", (handle,)).map(drop)
    }
}

fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py)
}

impl Client for Handles {
    type Item = Py<PyAny>;

    fn run(&self, item: Py<PyAny>) -> ControlFlow<()> {
        // SAFETY: turns come out of a host's event, and every Python host's event holds the GIL.
        let py = unsafe { Python::assume_attached() };
        let handle = item.into_bound(py);
        handle::track_if_shared(&handle);
        let outcome = if self.debug.get() { self.run_timed(&handle) } else { handle::run(&handle) };
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.failed(&handle, error),
        }
    }

    fn interrupted(&self) -> ControlFlow<()> {
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        // What the handler of a signal raises that came while Qt waited leaves the loop, as it leaves a selector's wait. A binding
        // may have run the handler on its way here and left its exception set.
        if let Some(error) = PyErr::take(py) {
            return self.fail(error);
        }
        py.check_signals().map_or_else(|error| self.fail(error), ControlFlow::Continue)
    }

    fn share(&self, item: &Py<PyAny>) -> Option<Py<PyAny>> {
        // SAFETY: as in `run`.
        let py = unsafe { Python::assume_attached() };
        (!handle::is_cancelled(py, item)).then(|| item.clone_ref(py))
    }
}

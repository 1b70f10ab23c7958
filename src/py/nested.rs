//! What is put aside while a turn runs inside a callback or a task's step: a nested loop, as modal dialogs have it.
//!
//! asyncio allows one current task per loop, and a context can be entered once. Both would keep the nested turn from running
//! what it should, so the current task is left and the contexts are exited for as long as the turn takes.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// What a turn has put aside.
pub struct Suspended {
    event_loop: Py<PyAny>,
    /// What of Python's state was changed, for `_hooks.resume`.
    state: Py<PyAny>,
    /// The contexts that were exited, the innermost first.
    contexts: Vec<Py<PyAny>>,
    /// The context of the innermost handle that runs, or null.
    running: *mut ffi::PyObject,
}

impl Suspended {
    /// Puts aside what is under way. `running` is the context of the innermost handle that runs, or null.
    pub fn new(
        hooks: &Bound<'_, PyModule>,
        event_loop: &Bound<'_, PyAny>,
        running: *mut ffi::PyObject,
        is_guest: bool,
    ) -> PyResult<Suspended> {
        let (state, mut entered): (Py<PyAny>, Vec<Bound<'_, PyAny>>) =
            hooks.call_method1("suspend", (event_loop, is_guest))?.extract()?;
        // SAFETY: null, or the context of a handle that is being run and therefore lives.
        entered.extend(unsafe { Bound::from_borrowed_ptr_or_opt(hooks.py(), running) });
        let contexts = exit_all(entered);
        Ok(Suspended { event_loop: event_loop.clone().unbind(), state, contexts, running })
    }

    /// Whether a context that a handle has entered is entered still, below one that the program entered by itself.
    pub fn is_obstructed(&self) -> bool {
        !self.running.is_null() && !self.contexts.iter().any(|context| ptr::eq(context.as_ptr(), self.running))
    }

    /// The context of the handle that goes on now.
    pub fn running(&self) -> *mut ffi::PyObject {
        self.running
    }

    /// Makes everything as it was.
    pub fn restore(self, hooks: &Bound<'_, PyModule>) -> PyResult<()> {
        let entered = self.contexts.iter().rev().try_for_each(|context| enter(context.bind(hooks.py())));
        let resumed = hooks.call_method1("resume", (self.event_loop, self.state));
        entered.and(resumed.map(drop))
    }
}

/// Exits those of the contexts that can be, and returns them, the innermost first: they form a stack whose order nobody tells.
fn exit_all(mut entered: Vec<Bound<'_, PyAny>>) -> Vec<Py<PyAny>> {
    let mut exited = Vec::new();
    while let Some(found) = entered.iter().position(exit) {
        exited.push(entered.remove(found).unbind());
    }
    exited
}

/// Exits the context, if it is the current one.
fn exit(context: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is live; what is no context, or not the current one, is refused with an exception.
    let exited = unsafe { ffi::PyContext_Exit(context.as_ptr()) } == 0;
    if !exited {
        drop(PyErr::take(context.py()));
    }
    exited
}

fn enter(context: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: as in `exit`.
    match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(context.py())),
    }
}

/// Whether nothing on the stack has entered the context. What is no context can be tried: Python refuses it properly.
pub fn can_enter(context: &Bound<'_, PyAny>) -> bool {
    match enter(context) {
        Ok(()) => exit(context),
        Err(error) => !error.is_instance_of::<pyo3::exceptions::PyRuntimeError>(context.py()),
    }
}

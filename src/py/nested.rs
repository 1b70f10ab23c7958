//! What is put aside while a turn runs inside a callback or a task's step: a nested loop, as modal dialogs have it.
//!
//! asyncio allows one current task per loop, and a context can be entered once. Both would keep the nested turn from running
//! what it should, so the current task is left and the contexts are exited for as long as the turn takes.

//!
//! It is done by functions written in C alone, as far as asyncio has them: in Python code a signal handler could raise its exception
//! between two of the changes.

use std::ptr;
use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PySet, PyTuple};

use super::fatal::Fatal;

/// What of Python's and asyncio's is needed to put things aside.
pub struct Switches {
    current_task: Py<PyAny>,
    leave_task: Py<PyAny>,
    enter_task: Py<PyAny>,
    get_running_loop: Py<PyAny>,
    set_running_loop: Py<PyAny>,
    get_asyncgen_hooks: Py<PyAny>,
    set_asyncgen_hooks: Py<PyAny>,
    /// The tasks that are in their first step, run by whoever made them.
    eager_tasks: Py<PySet>,
    fatal: Rc<Fatal>,
}

impl Switches {
    pub fn new(hooks: &Bound<'_, PyModule>, fatal: Rc<Fatal>) -> PyResult<Switches> {
        let py = hooks.py();
        let (tasks, events, sys) = (py.import("asyncio.tasks")?, py.import("asyncio.events")?, py.import("sys")?);
        Ok(Switches {
            current_task: tasks.getattr("current_task")?.unbind(),
            leave_task: tasks.getattr("_leave_task")?.unbind(),
            enter_task: tasks.getattr("_enter_task")?.unbind(),
            get_running_loop: events.getattr("_get_running_loop")?.unbind(),
            set_running_loop: events.getattr("_set_running_loop")?.unbind(),
            get_asyncgen_hooks: sys.getattr("get_asyncgen_hooks")?.unbind(),
            set_asyncgen_hooks: sys.getattr("set_asyncgen_hooks")?.unbind(),
            eager_tasks: hooks.getattr("eager_tasks")?.cast_into::<PySet>()?.unbind(),
            fatal,
        })
    }

    /// Whether a task is in its first step.
    pub fn is_starting_eagerly(&self, py: Python<'_>) -> bool {
        !self.eager_tasks.bind(py).is_empty()
    }

    /// The task whose step is under way, if there is one.
    fn current_task<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = event_loop.py();
        let task = self.fatal.insist(py, || self.current_task.bind(py).call1((event_loop,)))?;
        Ok((!task.is_none()).then_some(task))
    }

    /// The contexts that tasks may have entered by themselves: eager ones have.
    fn contexts<'py>(&self, py: Python<'py>, task: Option<&Bound<'py, PyAny>>) -> Vec<Bound<'py, PyAny>> {
        let tasks = self.eager_tasks.bind(py).iter().chain(task.cloned());
        // Python 3.11 has neither eager tasks nor this method.
        tasks.filter_map(|task| self.fatal.insist(py, || task.call_method0("get_context")).ok()).collect()
    }

    /// Makes the loop the thread's running one; what was before.
    fn enter_as_guest(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Host> {
        let py = event_loop.py();
        let ours = (event_loop.getattr("_asyncgen_firstiter_hook")?, event_loop.getattr("_asyncgen_finalizer_hook")?);
        let host = Host {
            running_loop: self.get_running_loop.call0(py)?,
            asyncgen_hooks: self.get_asyncgen_hooks.bind(py).call0()?.cast_into::<PyTuple>()?.unbind(),
        };
        self.set_asyncgen_hooks.call1(py, ours)?;
        self.set_running_loop.call1(py, (event_loop,))?;
        Ok(host)
    }

    fn leave_to(&self, py: Python<'_>, host: Host) -> PyResult<()> {
        self.set_running_loop.call1(py, (host.running_loop,))?;
        self.set_asyncgen_hooks.call1(py, host.asyncgen_hooks.into_bound(py)).map(drop)
    }
}

/// The asyncio loop that runs around ours.
struct Host {
    running_loop: Py<PyAny>,
    asyncgen_hooks: Py<PyTuple>,
}

/// What a turn has put aside.
pub struct Suspended {
    event_loop: Py<PyAny>,
    host: Option<Host>,
    task: Option<Py<PyAny>>,
    /// The contexts that were exited, the innermost first.
    contexts: Vec<Py<PyAny>>,
    /// The context of the innermost handle that runs, or null.
    running: *mut ffi::PyObject,
}

impl Suspended {
    /// Puts aside what is under way. `running` is the context of the innermost handle that runs, or null.
    pub fn new(
        switches: &Switches,
        event_loop: &Bound<'_, PyAny>,
        running: *mut ffi::PyObject,
        is_guest: bool,
    ) -> PyResult<Suspended> {
        let py = event_loop.py();
        let task = switches.current_task(event_loop)?;
        let mut entered = switches.contexts(py, task.as_ref());
        if let Some(task) = &task {
            switches.leave_task.call1(py, (event_loop, task))?;
        }
        let host = is_guest.then(|| switches.enter_as_guest(event_loop)).transpose();
        let host = host.inspect_err(|_| {
            // All or nothing: the task's step goes on.
            let _entered = task.as_ref().map(|task| switches.enter_task.call1(py, (event_loop, task)));
        })?;
        // SAFETY: null, or the context of a handle that is being run and therefore lives.
        entered.extend(unsafe { Bound::from_borrowed_ptr_or_opt(py, running) });
        let contexts = exit_all(entered);
        let (event_loop, task) = (event_loop.clone().unbind(), task.map(Bound::unbind));
        Ok(Suspended { event_loop, host, task, contexts, running })
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
    pub fn restore(self, py: Python<'_>, switches: &Switches) -> PyResult<()> {
        let entered = self.contexts.iter().rev().try_for_each(|context| enter(context.bind(py)));
        let resumed = self.task.map_or(Ok(()), |task| switches.enter_task.call1(py, (self.event_loop, task)).map(drop));
        let left = self.host.map_or(Ok(()), |host| switches.leave_to(py, host));
        entered.and(resumed).and(left)
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

//! What is put aside while a turn runs inside a callback or a task's step. Such a turn comes from a
//! nested loop, for example a modal dialog's.
//!
//! asyncio allows one current task per loop, and a context can be entered only once. Both would
//! keep the nested turn from running other tasks. So the current task is left and the contexts are
//! exited for the time of the turn.
//!
//! From Python 3.14 on, the running loop and the current task belong to the thread. Only the
//! running loop's task can be left or entered, and it stays the current one when another loop
//! becomes the running one. The current tasks written in Python are kept in a dictionary by loop.
//! The task functions written in C do not look into that dictionary.
//!
//! Only functions written in C do this, where asyncio has them. In Python code a signal handler
//! could raise its exception between two of the changes.
//! handler could raise its exception between two of the changes.

use std::ptr;
use std::rc::Rc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple};

use super::fatal::Fatal;

/// The functions of Python and asyncio that put things aside.
pub struct Switches {
    current_task: Py<PyAny>,
    leave_task: Py<PyAny>,
    enter_task: Py<PyAny>,
    get_running_loop: Py<PyAny>,
    set_running_loop: Py<PyAny>,
    get_asyncgen_hooks: Py<PyAny>,
    set_asyncgen_hooks: Py<PyAny>,
    /// The tasks that run their first step inside the code that made them. From Python 3.14 on,
    /// only those written in Python.
    eager_tasks: Py<PySet>,
    fatal: Rc<Fatal>,
    /// What Python keeps for each thread, if this version does.
    by_thread: Option<ByThread>,
}

/// What is needed in addition if the running loop and the current task belong to the thread.
struct ByThread {
    /// The current tasks that are written in Python, by loop.
    python_tasks: Py<PyDict>,
    all_tasks: Py<PyAny>,
}

impl Switches {
    pub fn new(hooks: &Bound<'_, PyModule>, fatal: Rc<Fatal>) -> PyResult<Switches> {
        let py = hooks.py();
        let (tasks, events, sys) =
            (py.import("asyncio.tasks")?, py.import("asyncio.events")?, py.import("sys")?);
        // The functions written in C, if there are any, whatever a program has put in their place.
        let fastest = |name| hooks.call_method1("task_function", (name,)).map(Bound::unbind);
        Ok(Switches {
            current_task: fastest("current_task")?,
            leave_task: fastest("leave_task")?,
            enter_task: fastest("enter_task")?,
            get_running_loop: events.getattr("_get_running_loop")?.unbind(),
            set_running_loop: events.getattr("_set_running_loop")?.unbind(),
            get_asyncgen_hooks: sys.getattr("get_asyncgen_hooks")?.unbind(),
            set_asyncgen_hooks: sys.getattr("set_asyncgen_hooks")?.unbind(),
            eager_tasks: hooks.getattr("eager_tasks")?.cast_into::<PySet>()?.unbind(),
            fatal,
            by_thread: hooks
                .getattr("tasks_are_by_thread")?
                .is_truthy()?
                .then(|| ByThread::new(&tasks))
                .transpose()?,
        })
    }

    /// Whether a task runs its first step although no handle of the loop runs.
    pub fn is_starting_eagerly(&self, py: Python<'_>, event_loop: &Py<PyAny>) -> bool {
        if !self.eager_tasks.bind(py).is_empty() {
            return true;
        }
        // Nothing else tells that on such a Python.
        self.by_thread.is_some()
            && self.current_task(event_loop.bind(py)).is_ok_and(|task| task.is_some())
    }

    /// The task that is in the middle of a step, if there is one.
    fn current_task<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = event_loop.py();
        let task = self.fatal.insist(py, || self.current_task.bind(py).call1((event_loop,)))?;
        Ok((!task.is_none()).then_some(task))
    }

    /// Leaves the tasks that keep the tasks of `event_loop` from running.
    fn leave_tasks(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Vec<Left>> {
        let py = event_loop.py();
        let mut left = Vec::new();
        let running = match &self.by_thread {
            Some(by_thread) => {
                if let Some(task) = by_thread.take_python_task(event_loop)? {
                    left.push(Left {
                        event_loop: event_loop.clone().unbind(),
                        task: task.unbind(),
                        is_pythons: true,
                    });
                }
                self.get_running_loop.bind(py).call0()?
            }
            None => event_loop.clone(),
        };
        if !running.is_none()
            && let Some(task) = self.current_task(&running)?
        {
            self.leave_task.call1(py, (&running, &task))?;
            left.push(Left {
                event_loop: running.unbind(),
                task: task.unbind(),
                is_pythons: false,
            });
        }
        Ok(left)
    }

    /// Makes a task that was left the current task again.
    fn enter(&self, py: Python<'_>, left: Left) -> PyResult<()> {
        match &self.by_thread {
            Some(by_thread) if left.is_pythons => {
                by_thread.python_tasks.bind(py).set_item(left.event_loop, left.task)
            }
            _ => self.enter_task.call1(py, (left.event_loop, left.task)).map(drop),
        }
    }

    /// The contexts that tasks may have entered by themselves, as eager tasks do.
    fn contexts<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        left: &[Left],
    ) -> Vec<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let ours = left
            .iter()
            .filter(|left| left.event_loop.is(event_loop))
            .map(|left| left.task.bind(py).clone());
        // Python 3.11 has neither eager tasks nor this method.
        self.eager_tasks
            .bind(py)
            .iter()
            .chain(ours)
            .filter_map(|task| self.context_of(&task))
            .collect()
    }

    /// The contexts of all tasks that are in the middle of a step. It takes long to find them.
    fn contexts_of_running<'py>(&self, event_loop: &Bound<'py, PyAny>) -> Vec<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let Some(by_thread) = &self.by_thread else { return Vec::new() };
        let tasks = self.fatal.insist(py, || {
            by_thread
                .all_tasks
                .bind(py)
                .call1((event_loop,))?
                .cast_into::<PySet>()
                .map_err(PyErr::from)
        });
        let tasks = tasks.map_or_else(|_| Vec::new(), |tasks| tasks.iter().collect());
        tasks
            .iter()
            .filter(|task| self.is_in_a_step(task))
            .filter_map(|task| self.context_of(task))
            .collect()
    }

    fn context_of<'py>(&self, task: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        self.fatal.insist(task.py(), || task.call_method0("get_context")).ok()
    }

    /// Whether the task's coroutine runs. If the coroutine does not tell, it is assumed to run.
    fn is_in_a_step(&self, task: &Bound<'_, PyAny>) -> bool {
        let running =
            self.fatal.insist(task.py(), || task.call_method0("get_coro")?.getattr("cr_running"));
        running.and_then(|running| running.is_truthy()).unwrap_or(true)
    }

    /// Makes the loop the thread's running one. Returns what was before.
    fn enter_as_guest(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Host> {
        let py = event_loop.py();
        let ours = (
            event_loop.getattr("_asyncgen_firstiter_hook")?,
            event_loop.getattr("_asyncgen_finalizer_hook")?,
        );
        let host = Host {
            running_loop: self.get_running_loop.call0(py)?,
            asyncgen_hooks: self
                .get_asyncgen_hooks
                .bind(py)
                .call0()?
                .cast_into::<PyTuple>()?
                .unbind(),
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

impl ByThread {
    fn new(tasks: &Bound<'_, PyModule>) -> PyResult<ByThread> {
        Ok(ByThread {
            python_tasks: tasks.getattr("_current_tasks")?.cast_into::<PyDict>()?.unbind(),
            all_tasks: tasks.getattr("all_tasks")?.unbind(),
        })
    }

    /// Takes the loop's current task, if that is one written in Python.
    fn take_python_task<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let tasks = self.python_tasks.bind(event_loop.py());
        if tasks.is_empty() {
            return Ok(None);
        }
        let task = tasks.get_item(event_loop)?;
        if task.is_some() {
            tasks.del_item(event_loop)?;
        }
        Ok(task)
    }
}

/// A task that was left.
struct Left {
    event_loop: Py<PyAny>,
    task: Py<PyAny>,
    /// Whether Python's own functions keep it.
    is_pythons: bool,
}

/// The asyncio loop that runs around ours.
struct Host {
    running_loop: Py<PyAny>,
    asyncgen_hooks: Py<PyTuple>,
}

/// What a turn has put aside.
pub struct Suspended {
    host: Option<Host>,
    tasks: Vec<Left>,
    /// The contexts that were exited, the innermost first.
    contexts: Vec<Py<PyAny>>,
    /// The context of the innermost handle that runs, or null.
    running: *mut ffi::PyObject,
}

impl Suspended {
    /// Puts aside what is under way. `running` is the context of the innermost handle that runs, or
    /// null.
    pub fn new(
        switches: &Switches,
        event_loop: &Bound<'_, PyAny>,
        running: *mut ffi::PyObject,
        is_guest: bool,
    ) -> PyResult<Suspended> {
        let py = event_loop.py();
        let mut tasks = switches.leave_tasks(event_loop)?;
        let mut entered = switches.contexts(event_loop, &tasks);
        let is_in_a_task = !entered.is_empty();
        let host = is_guest.then(|| switches.enter_as_guest(event_loop)).transpose();
        let host = host.inspect_err(|_| {
            // All or nothing: if it fails, the tasks' steps go on.
            tasks.drain(..).rev().for_each(|left| drop(switches.enter(py, left)));
        })?;
        // SAFETY: null, or the context of a handle that is being run and therefore lives.
        let innermost = unsafe { Bound::from_borrowed_ptr_or_opt(py, running) };
        entered.extend(innermost.clone());
        let contexts = exit_all(entered);
        let mut suspended = Suspended { host, tasks, contexts, running };
        if suspended.is_obstructed() || running.is_null() && is_in_a_task {
            // Several eager tasks may be in their first step, one inside the other.
            let more = exit_all(
                switches.contexts_of_running(event_loop).into_iter().chain(innermost).collect(),
            );
            suspended.contexts.extend(more);
        }
        Ok(suspended)
    }

    /// Whether the context of a handle is still entered, below one that the program has entered by
    /// itself.
    pub fn is_obstructed(&self) -> bool {
        !self.running.is_null()
            && !self.contexts.iter().any(|context| ptr::eq(context.as_ptr(), self.running))
    }

    /// The context of the handle that goes on now.
    pub fn running(&self) -> *mut ffi::PyObject {
        self.running
    }

    /// Restores everything.
    pub fn restore(self, py: Python<'_>, switches: &Switches) -> PyResult<()> {
        let entered = self.contexts.iter().rev().try_for_each(|context| enter(context.bind(py)));
        // Before the tasks: a task that belongs to the thread is entered in the running loop.
        let left = self.host.map_or(Ok(()), |host| switches.leave_to(py, host));
        let resumed =
            self.tasks.into_iter().map(|task| switches.enter(py, task)).fold(Ok(()), PyResult::and);
        entered.and(left).and(resumed)
    }
}

/// Exits those of the contexts that can be exited, and returns them, the innermost first. They form
/// a stack, and Python does not tell its order.
fn exit_all(mut entered: Vec<Bound<'_, PyAny>>) -> Vec<Py<PyAny>> {
    let mut exited = Vec::new();
    while let Some(found) = entered.iter().position(exit) {
        exited.push(entered.remove(found).unbind());
    }
    exited
}

/// Exits the context, if it is the current one.
fn exit(context: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is live; what is no context, or not the current one, is refused with an
    // exception.
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

/// Whether nothing on the stack has entered the context. True for an object that is no context:
/// Python refuses it with the proper error.
pub fn can_enter(context: &Bound<'_, PyAny>) -> bool {
    match enter(context) {
        Ok(()) => exit(context),
        Err(error) => !error.is_instance_of::<pyo3::exceptions::PyRuntimeError>(context.py()),
    }
}

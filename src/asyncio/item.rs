//! What the driver of a Python loop schedules.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple};

use super::handle::{self, HandleParts};
use crate::task::foreign::job::Job;
use crate::task::scheduler::Carrier;

/// A callback that waits for its turn, or for its fd.
pub enum Item {
    /// A handle: one of our classes, one of asyncio's, or any object with the methods of a handle.
    Handle(Py<PyAny>),
    /// A Rust object, and the event of its fd.
    ///
    /// No handle is made for the event, since events come again and again. **Gain**: with a handle
    /// for each, the TCP echo of ten connections in one process takes 65 % more instructions, the
    /// UDP echo 29 %, `socketpair` 15 % (callgrind, CPython 3.13; docs/performance.md has the
    /// table). It is safe because the object itself checks whether it still waits for the event.
    /// Debug mode and the exception handler get a handle that does the same
    /// ([`EventHandler::to_handle`]).
    Event(Py<PyAny>, &'static EventHandler),
    /// A job of the Rust executor, which knows nothing of Python: a task, or what wakes one.
    Job(Job),
}

/// How a class of objects handles an event.
pub struct EventHandler {
    /// The Python method that does the same. Python code knows the event by that name.
    pub method: &'static str,
    /// Handles the event. `SystemExit` and `KeyboardInterrupt` leave the loop, other exceptions go
    /// to its exception handler.
    pub run: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<()>,
    /// The context to run it in.
    pub context: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
}

impl Item {
    /// Another reference to the item; `None` if it is not to run again.
    pub fn share(&self, py: Python<'_>) -> Option<Item> {
        match self {
            Item::Handle(handle) if handle::is_cancelled(py, handle) => None,
            Item::Handle(handle) => Some(Item::Handle(handle.clone_ref(py))),
            Item::Event(object, event) => Some(Item::Event(object.clone_ref(py), event)),
            Item::Job(job) => job.share().map(Item::Job),
        }
    }

    /// Another reference to an item that is Python's, for Python code to look at.
    pub fn share_any(&self, py: Python<'_>) -> Option<Item> {
        match self {
            Item::Handle(handle) => Some(Item::Handle(handle.clone_ref(py))),
            Item::Event(object, event) => Some(Item::Event(object.clone_ref(py), event)),
            Item::Job(_) => None,
        }
    }

    /// As a handle; `None` if it is not Python's.
    pub fn into_handle<'py>(
        self,
        event_loop: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = event_loop.py();
        match self {
            Item::Handle(handle) => Ok(Some(handle.into_bound(py))),
            Item::Event(object, event) => event.to_handle(object.bind(py), event_loop).map(Some),
            Item::Job(_) => Ok(None),
        }
    }

    /// The handle, or the object that has the event. A job is no Python object.
    fn object(&self) -> Option<&Py<PyAny>> {
        match self {
            Item::Handle(object) | Item::Event(object, _) => Some(object),
            Item::Job(_) => None,
        }
    }

    /// What Python code is shown as the watcher of an fd: the object, or true for a job.
    pub fn shown<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.object().map_or_else(
            || PyBool::new(py, true).to_owned().into_any(),
            |object| object.bind(py).clone(),
        )
    }

    /// Whether it is an event of `object`.
    pub fn is_of(&self, object: &Bound<'_, PyAny>) -> bool {
        self.object().is_some_and(|own| own.is(object))
    }

    /// Cancels a handle. The object of an event knows by itself that it waits no more, and so does
    /// what waits for a job.
    pub fn cancel(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Item::Handle(handle) => handle.into_bound(py).call_method0("cancel").map(drop),
            Item::Event(object, _) => {
                drop(object.into_bound(py));
                Ok(())
            }
            Item::Job(job) => {
                drop(job);
                Ok(())
            }
        }
    }

    /// The context that it will run in; `None` if that is not known.
    pub fn context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Item::Handle(handle) => handle::context(handle.bind(py)),
            Item::Event(object, event) => (event.context)(object.bind(py)).ok(),
            Item::Job(_) => None,
        }
    }

    /// Shows the garbage collector what the item refers to.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Item::Handle(handle) => handle::visit(handle, visit),
            Item::Event(object, _) => visit.call(object),
            // Nobody can see what a Rust future refers to.
            Item::Job(_) => Ok(()),
        }
    }
}

impl From<Job> for Item {
    fn from(job: Job) -> Item {
        Item::Job(job)
    }
}

impl Carrier for Item {
    fn as_job(&self) -> Option<&Job> {
        match self {
            Item::Job(job) => Some(job),
            _ => None,
        }
    }

    fn into_job(self) -> Option<Job> {
        match self {
            Item::Job(job) => Some(job),
            _ => None,
        }
    }
}

impl EventHandler {
    /// A handle that does the same. Debug mode times it, and the exception handler shows it.
    pub fn to_handle<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        event_loop: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = object.py();
        let callback = object.getattr(PyString::intern(py, self.method))?;
        let context = (self.context)(object)?;
        let handle =
            HandleParts { callback: &callback, args: PyTuple::empty(py), event_loop, context }
                .into_handle()?;
        handle::track(&handle);
        Ok(handle)
    }
}

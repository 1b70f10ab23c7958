//! What a Python loop's driver schedules.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString, PyTuple};

use super::handle::{self, HandleParts};
use crate::task::foreign::job::Job;
use crate::task::scheduler::Carrier;

/// A callback that waits for its turn, or for its fd.
pub enum Item {
    /// A handle: one of ours, of asyncio's, or whatever has the methods of one.
    Handle(Py<PyAny>),
    /// An object of Rust's that an fd has news for. No handle is made for it, since it comes again
    /// and again.
    Event(Py<PyAny>, &'static EventHandler),
    /// Something of Rust's, which knows nothing of Python: a task, or what wakes one.
    Job(Job),
}

/// What is done about an event of a class of objects.
pub struct EventHandler {
    /// The method that does the same, by which Python knows the event.
    pub method: &'static str,
    /// Does it. `SystemExit` and `KeyboardInterrupt` leave the loop, other exceptions go to its
    /// exception handler.
    pub run: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<()>,
    /// The context to run it in.
    pub context: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
}

impl Item {
    /// Another reference to the item; `None` if there is no sense in running it again.
    pub fn share(&self, py: Python<'_>) -> Option<Item> {
        match self {
            Item::Handle(handle) if handle::is_cancelled(py, handle) => None,
            Item::Handle(handle) => Some(Item::Handle(handle.clone_ref(py))),
            Item::Event(object, event) => Some(Item::Event(object.clone_ref(py), event)),
            Item::Job(job) => job.share().map(Item::Job),
        }
    }

    /// Another reference to what is Python's, to be looked at.
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

    /// The handle, or the object that has the event; what is Rust's is no object.
    fn object(&self) -> Option<&Py<PyAny>> {
        match self {
            Item::Handle(object) | Item::Event(object, _) => Some(object),
            Item::Job(_) => None,
        }
    }

    /// What Python's side is shown of who watches an fd: true for what is no object.
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

    /// Cancels a handle. An event's object knows by itself that it waits no more, and so does who
    /// waits for a job.
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
            // What a Rust future refers to nobody can see.
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
    /// A handle that does the same: for debug mode, which times handles, and for the exception
    /// handler.
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

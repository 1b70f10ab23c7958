//! The Rust half of a TLS connection's protocol.

use std::cell::{Cell, RefCell};

use pyo3::exceptions::{PyAttributeError, PyException};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use super::calls::Calls;
use super::names::{FLAGS, Flag, OBJECTS, Object};
use super::stock::{State, stock};
use super::stream;
use crate::asyncio::stream_reader::is_for_streams;

/// The Rust half of `qtloop._tls.SSLProtocol`, which inherits from it first and then from asyncio's
/// own `SSLProtocol`. It is not to be used by itself.
#[pyclass(subclass, frozen, module = "qtloop._core", name = "TlsEngine")]
pub struct Engine {
    objects: [RefCell<Option<Py<PyAny>>>; OBJECTS.len()],
    pub(super) flags: [Cell<bool>; FLAGS.len()],
    pub(super) backlog_size: Cell<isize>,
    calls: RefCell<Calls>,
    state: Cell<State>,
    /// The high and the low marks of both directions, in the order of the attributes.
    marks: [Cell<f64>; 4],
    /// Whether the transport is one of ours, with a socket.
    is_direct: Cell<bool>,
    /// Whether the protocol hands all data to its StreamReader.
    is_for_streams: Cell<bool>,
}

// SAFETY: the module declares that it needs the GIL, and every method runs with it held. No borrow
// of a cell is kept while anything of Python's is called.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

pub type This<'py> = Bound<'py, Engine>;

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            objects: [const { RefCell::new(None) }; OBJECTS.len()],
            flags: [const { Cell::new(false) }; FLAGS.len()],
            backlog_size: Cell::new(0),
            calls: RefCell::default(),
            state: Cell::new(State::Unwrapped),
            marks: [const { Cell::new(0.0) }; 4],
            is_direct: Cell::new(false),
            is_for_streams: Cell::new(false),
        }
    }
}

impl Engine {
    /// The value of an attribute.
    ///
    /// # Errors
    /// `AttributeError` if it was not set.
    pub fn object<'py>(&self, py: Python<'py>, object: Object) -> PyResult<Bound<'py, PyAny>> {
        let value = self.objects[object as usize].borrow();
        match &*value {
            Some(value) => Ok(value.bind(py).clone()),
            None => {
                let name = OBJECTS[object as usize].1.to_str().unwrap_or_default();
                Err(PyAttributeError::new_err(name))
            }
        }
    }

    /// Sets an attribute, and notes what follows from it.
    pub fn set_object(
        &self,
        py: Python<'_>,
        object: Object,
        value: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if let Some(value) = &value {
            self.note(py, object, value)?;
        }
        let before = self.objects[object as usize].replace(value.map(Bound::unbind));
        drop(before.map(|before| before.into_bound(py)));
        Ok(())
    }

    fn note(&self, py: Python<'_>, object: Object, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match object {
            Object::State => self.state.set(stock(py)?.state(value)),
            Object::AppProtocol => self.is_for_streams.set(is_for_streams(value)?),
            Object::Transport => self.is_direct.set(stream::is_stream(value)),
            Object::Incoming => {
                let method = value.getattr(intern!(py, "write"))?.unbind();
                let before = self.calls.borrow_mut().take_in.replace(method);
                drop(before);
            }
            Object::Outgoing => {
                let method = value.getattr(intern!(py, "read"))?.unbind();
                let before = self.calls.borrow_mut().take_out.replace(method);
                drop(before);
            }
            Object::Ssl => {
                let mut calls = Calls::default();
                calls.set_ssl_object(value)?;
                let mut own = self.calls.borrow_mut();
                let before = [
                    std::mem::replace(&mut own.read, calls.read),
                    std::mem::replace(&mut own.write, calls.write),
                    std::mem::replace(&mut own.pending, calls.pending),
                ];
                drop(own);
                drop(before);
            }
            Object::IncomingHigh
            | Object::IncomingLow
            | Object::OutgoingHigh
            | Object::OutgoingLow => {
                // A size may be any number, also one that is too large for `usize`.
                let mark = value.extract::<f64>().unwrap_or(f64::INFINITY);
                self.mark(object).set(mark);
            }
            Object::Backlog => {}
        }
        Ok(())
    }

    /// A mark's value, to compare sizes with.
    pub fn mark(&self, object: Object) -> &Cell<f64> {
        &self.marks[object as usize - Object::IncomingHigh as usize]
    }

    pub fn state(&self) -> State {
        self.state.get()
    }

    pub fn flag(&self, flag: Flag) -> &Cell<bool> {
        &self.flags[flag as usize]
    }

    pub fn is_direct(&self) -> bool {
        self.is_direct.get()
    }

    pub fn is_for_streams(&self) -> bool {
        self.is_for_streams.get()
    }

    /// One of the methods that are called for every record.
    pub fn method<'py>(
        &self,
        py: Python<'py>,
        which: impl FnOnce(&Calls) -> &Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match which(&self.calls.borrow()) {
            Some(method) => Ok(method.bind(py).clone()),
            None => Err(PyAttributeError::new_err("_sslobj")),
        }
    }

    /// How many bytes are in a BIO.
    pub fn pending(&self, py: Python<'_>, bio: Object) -> PyResult<usize> {
        self.object(py, bio)?.getattr(intern!(py, "pending"))?.extract()
    }

    /// Shows the collector what it holds.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What is being changed just now cannot be seen. It is only not freed now.
        for object in &self.objects {
            if let Ok(object) = object.try_borrow() {
                visit.call(&*object)?;
            }
        }
        if let Ok(calls) = self.calls.try_borrow() {
            for method in calls.all() {
                visit.call(method)?;
            }
        }
        Ok(())
    }

    /// Drops the references.
    pub fn clear(&self) {
        let objects: Vec<_> = self.objects.iter().map(RefCell::take).collect();
        let calls = self.calls.take();
        drop((objects, calls));
    }
}

/// As the stock class's `except Exception`: the error ends the connection.
pub fn or_fatal(this: &This<'_>, outcome: PyResult<()>) -> PyResult<()> {
    match outcome {
        Err(error) if error.is_instance_of::<PyException>(this.py()) => {
            this.call_method1(intern!(this.py(), "_fail"), (error,)).map(drop)
        }
        outcome => outcome,
    }
}

//! The part that all transports have: a loop, a protocol, an open file and its watches.
//!
//! The queue, the watches and the file end together, in [`Channel::close`]. So nothing of a
//! transport remains when its fd's number is free again.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyTuple};

use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::client::PyDriver;
use crate::asyncio::context::current_context;
use crate::asyncio::errors::{finally, os_error};
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::{EventHandler, Item};
use crate::asyncio::open_file::OpenFile;
use crate::core::{Direction, Fd, Interest};

/// The part of a transport that knows its loop.
pub struct Channel {
    driver: Rc<PyDriver>,
    event_loop: RefCell<Option<Py<Loop>>>,
    protocol: RefCell<Option<Py<PyAny>>>,
    file: OpenFile,
    watched: Cell<Interest>,
    /// The context in which everything of the transport happens, if it was made with one. From
    /// Python 3.15 on the transports of streams are.
    own_context: RefCell<Option<Py<PyAny>>>,
    /// The contexts that the protocol is called in when there is something to read, and when there
    /// is room to write.
    contexts: [RefCell<Option<Py<PyAny>>>; 2],
    /// The write buffer's limits as the program has set them, unless they are just sizes.
    limits: RefCell<Option<Py<PyAny>>>,
    /// The context and the exception, or None, with which the protocol is to be told that the
    /// connection is lost.
    loss: RefCell<Option<Box<Loss>>>,
    closing: Cell<bool>,
    /// 0 until `connection_lost` is scheduled. From then on: how often something was written in
    /// vain, plus one.
    lost: Cell<u32>,
}

struct Loss {
    context: Py<PyAny>,
    error: Py<PyAny>,
}

impl Channel {
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    pub fn new(
        event_loop: &Bound<'_, Loop>,
        file: OpenFile,
        protocol: &Bound<'_, PyAny>,
    ) -> PyResult<Channel> {
        Ok(Channel {
            driver: Rc::clone(event_loop.get().open_driver()?),
            event_loop: RefCell::new(Some(event_loop.clone().unbind())),
            protocol: RefCell::new(Some(protocol.clone().unbind())),
            file,
            watched: Cell::new(Interest::NONE),
            own_context: RefCell::new(None),
            contexts: [const { RefCell::new(None) }; 2],
            limits: RefCell::new(None),
            loss: RefCell::new(None),
            closing: Cell::new(false),
            lost: Cell::new(0),
        })
    }

    /// The number that the file has, or had. Never make a system call with it.
    pub fn number(&self) -> Fd {
        self.file.number()
    }

    pub fn file(&self) -> &OpenFile {
        &self.file
    }

    /// Lends the fd for a system call. `call` must not call Python.
    ///
    /// # Errors
    /// As [`OpenFile::lend`].
    #[inline]
    pub fn lend<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.file.lend(py, call)
    }

    pub fn driver(&self) -> &PyDriver {
        &self.driver
    }

    /// The loop, until the connection is lost.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Loop>> {
        self.event_loop.borrow().as_ref().map(|event_loop| event_loop.clone_ref(py).into_bound(py))
    }

    /// Whether the loop is in debug mode.
    pub fn is_debugging(&self) -> bool {
        self.driver.client().debug()
    }

    /// The protocol, until the connection is lost.
    pub fn protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.protocol.borrow().as_ref().map(|protocol| protocol.bind(py).clone())
    }

    pub fn set_protocol(&self, protocol: &Bound<'_, PyAny>) {
        let before = self.protocol.replace(Some(protocol.clone().unbind()));
        drop(before.map(|before| before.into_bound(protocol.py())));
    }

    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub fn set_closing(&self) {
        self.closing.set(true);
    }

    /// Whether `connection_lost` is scheduled, or over.
    pub fn is_lost(&self) -> bool {
        self.lost.get() > 0
    }

    pub fn lost(&self) -> u32 {
        self.lost.get()
    }

    /// Notes that `connection_lost` is scheduled, or that something was written after that.
    pub fn count_lost(&self) {
        self.lost.set(self.lost.get().saturating_add(1));
    }

    /// Whether the fd is watched for `direction`. If not, an event of it comes too late.
    pub fn is_watched(&self, direction: Direction) -> bool {
        self.watched.get().has(direction)
    }

    pub fn limits<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.limits.borrow().as_ref().map(|limits| limits.bind(py).clone())
    }

    pub fn set_limits(&self, py: Python<'_>, limits: Option<Bound<'_, PyAny>>) {
        let before = self.limits.replace(limits.map(Bound::unbind));
        drop(before.map(|before| before.into_bound(py)));
    }

    /// From now on everything of the transport happens in `context`.
    pub fn set_own_context(&self, context: Bound<'_, PyAny>) {
        let py = context.py();
        let before = self.own_context.replace(Some(context.unbind()));
        drop(before.map(|before| before.into_bound(py)));
    }

    /// The context that everything of the transport's happens in, if it was made with one.
    pub fn own_context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.own_context.borrow().as_ref().map(|context| context.bind(py).clone())
    }

    /// The context for what is scheduled now: the transport's own, or else a copy of the current
    /// one.
    pub fn context_for_now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.own_context(py).map_or_else(|| current_context(py), Ok)
    }

    /// Sets the context for events of `direction`.
    pub fn set_context(&self, direction: Direction, context: Bound<'_, PyAny>) {
        let py = context.py();
        let before = self.contexts[direction as usize].replace(Some(context.unbind()));
        drop(before.map(|before| before.into_bound(py)));
    }

    /// Runs `event` of `this`, the transport, whenever the fd is ready: in the transport's own
    /// context, or in a copy of the current one.
    pub fn watch(
        &self,
        this: &Bound<'_, PyAny>,
        direction: Direction,
        event: &'static EventHandler,
    ) -> PyResult<()> {
        self.watch_in(this, direction, event, self.context_for_now(this.py())?)
    }

    /// As [`watch`](Channel::watch), in `context`.
    pub fn watch_in(
        &self,
        this: &Bound<'_, PyAny>,
        direction: Direction,
        event: &'static EventHandler,
        context: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = this.py();
        if let Some(event_loop) = self.event_loop(py) {
            event_loop.get().open_driver()?;
        }
        let fd = self.file.open_number(py).map_err(os_error)?;
        self.set_context(direction, context);
        let item = Item::Event(this.clone().unbind(), event);
        let replaced = self.driver.watch(fd, direction, item).map_err(os_error)?;
        self.watched.set(self.watched.get() | direction.into());
        let cancelled = replaced.map_or(Ok(()), |replaced| replaced.cancel(py));
        // The host may be written in Python. Then anything may have happened meanwhile.
        let ended = if self.file.is_closed() { self.unwatch(this, direction) } else { Ok(()) };
        finally(py, cancelled, ended)
    }

    /// Ends a watch of `this`, the transport. If somebody else watches the number by now, that
    /// watch stays.
    pub fn unwatch(&self, this: &Bound<'_, PyAny>, direction: Direction) -> PyResult<()> {
        if !self.is_watched(direction) {
            return Ok(());
        }
        self.watched.set(self.watched.get().without(direction));
        let item = self.driver.unwatch_if(self.number(), direction, |item| item.is_of(this));
        item.map_or(Ok(()), |item| item.cancel(this.py()))
    }

    /// Ends the watches that others have of a socket's number. Their file is gone, or is about to
    /// be.
    pub fn forsake(&self, py: Python<'_>) -> PyResult<()> {
        let Ok(fd) = self.file.open_number(py) else { return Ok(()) };
        let cancel =
            |direction| self.driver.unwatch(fd, direction).map_or(Ok(()), |item| item.cancel(py));
        finally(py, cancel(Direction::Read), cancel(Direction::Write))
    }

    /// Closes the file and everything that depends on it. Afterwards the transport is like one
    /// whose connection is lost: what is written is dropped.
    pub fn close(&self, this: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = this.py();
        self.set_closing();
        if !self.is_lost() {
            self.count_lost();
        }
        let unwatched =
            finally(py, self.unwatch(this, Direction::Read), self.unwatch(this, Direction::Write));
        finally(py, unwatched, self.file.close(py))
    }

    /// The context for events of `direction`.
    pub fn context<'py>(
        &self,
        py: Python<'py>,
        direction: Direction,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &*self.contexts[direction as usize].borrow() {
            Some(context) => Ok(context.bind(py).clone()),
            None => current_context(py),
        }
    }

    /// Calls `callback(*args)` soon, if there still is a loop.
    pub fn call_soon(&self, callback: Bound<'_, PyAny>, args: &[Bound<'_, PyAny>]) -> PyResult<()> {
        let py = callback.py();
        let Some(event_loop) = self.event_loop(py) else { return Ok(()) };
        let args = PyTuple::new(py, [std::slice::from_ref(&callback), args].concat())?;
        let options = match self.own_context(py) {
            Some(context) => Some([(pyo3::intern!(py, "context"), context)].into_py_dict(py)?),
            None => None,
        };
        event_loop.call_method(pyo3::intern!(py, "call_soon"), args, options.as_ref()).map(drop)
    }

    /// Notes with which context and exception the connection ends soon.
    pub fn set_loss(&self, context: Bound<'_, PyAny>, error: Bound<'_, PyAny>) {
        let loss = Loss { context: context.unbind(), error: error.unbind() };
        let before = self.loss.replace(Some(Box::new(loss)));
        drop(before);
    }

    /// The exception with which the connection ends now; `None` if it has ended.
    pub fn take_loss<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let loss = self.loss.take()?;
        drop(loss.context.into_bound(py));
        Some(loss.error.into_bound(py))
    }

    /// The context in which the connection ends soon.
    pub fn context_of_loss<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let context = self.loss.borrow().as_ref().map(|loss| loss.context.clone_ref(py));
        context.map_or_else(|| current_context(py), |context| Ok(context.into_bound(py)))
    }

    /// Runs `event` of `this` in the next iteration.
    pub fn event_soon(&self, this: &Bound<'_, PyAny>, event: &'static EventHandler) {
        self.driver.call_soon(Item::Event(this.clone().unbind(), event));
    }

    /// The connection is lost, and the protocol has been told. Drops the references to the protocol
    /// and the loop.
    pub fn release(&self, py: Python<'_>) {
        let protocol = self.protocol.take();
        let event_loop = self.event_loop.take();
        let contexts = [&self.contexts[0], &self.contexts[1], &self.own_context].map(RefCell::take);
        let loss = self.loss.take();
        drop(protocol.map(|protocol| protocol.into_bound(py)));
        drop(event_loop.map(|event_loop| event_loop.into_bound(py)));
        drop(contexts.map(|context| context.map(|context| context.into_bound(py))));
        drop(loss);
    }

    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        self.file.visit(visitor);
        // What is being changed just now cannot be seen. It is only not freed now.
        if let Ok(event_loop) = self.event_loop.try_borrow() {
            visitor.see(event_loop.as_ref().map(Py::as_any));
        }
        if let Ok(loss) = self.loss.try_borrow()
            && let Some(loss) = &*loss
        {
            visitor.see(Some(&loss.context));
            visitor.see(Some(&loss.error));
        }
        for object in
            [&self.protocol, &self.contexts[0], &self.contexts[1], &self.own_context, &self.limits]
        {
            if let Ok(object) = object.try_borrow() {
                visitor.see(object.as_ref());
            }
        }
    }
}

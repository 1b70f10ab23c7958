//! The beginning of a client's connection: `connection_made` is called, reading starts, and the
//! waiter is completed. Each step is an event of its own, because in asyncio each is a callback of
//! its own.

use std::cell::RefCell;

use pyo3::intern;
use pyo3::prelude::*;

use crate::asyncio::class::extension::Instance;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::context::current_context;
use crate::asyncio::errors::is_fatal;
use crate::asyncio::item::EventHandler;
use crate::asyncio::transport::ending::report_callback;
use crate::asyncio::transport::shared::Transport;
use crate::core::Direction;

/// The objects that the events of the beginning need. Each event takes its object.
#[derive(Default)]
pub struct Beginning {
    /// The protocol's `connection_made`.
    made: RefCell<Option<Py<PyAny>>>,
    /// A future that is completed after `connection_made` and the start of reading.
    waiter: RefCell<Option<Py<PyAny>>>,
}

/// A transport that begins by events.
pub trait Begins: Transport {
    /// What the events of the beginning need.
    fn beginning(&self) -> &Beginning;
}

/// The three events of the beginning, which belong to the transport's class.
pub struct Events {
    /// Calls [`tell`].
    pub tell: EventHandler,
    /// Starts reading.
    pub start: EventHandler,
    /// Calls [`wake`].
    pub wake: EventHandler,
}

/// Queues three events for the loop's next iteration: `connection_made`, the start of reading, and
/// the completion of `waiter`.
pub fn begin_soon<'py, T: Begins>(
    this: &Instance<'py, T>,
    protocol: &Bound<'py, PyAny>,
    waiter: Option<Bound<'py, PyAny>>,
    events: &'static Events,
) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    let made = protocol.getattr(intern!(py, "connection_made"))?;
    let context = channel.own_context(py).map_or_else(|| current_context(py), Ok)?;
    channel.set_context(Direction::Read, context);
    this.beginning().made.replace(Some(made.unbind()));
    channel.event_soon(this.as_any(), &events.tell);
    channel.event_soon(this.as_any(), &events.start);
    if let Some(waiter) = waiter {
        this.beginning().waiter.replace(Some(waiter.unbind()));
        channel.event_soon(this.as_any(), &events.wake);
    }
    Ok(())
}

/// Calls `connection_made`. Its exception is reported as the exception of a handle whose callback
/// is that method.
pub fn tell<T: Begins>(this: &Instance<'_, T>) -> PyResult<()> {
    let py = this.py();
    let Some(made) = this.beginning().made.take() else { return Ok(()) };
    let made = made.into_bound(py);
    match made.call1((this.as_any(),)) {
        Err(error) if !is_fatal(py, &error) => {
            let event_loop = this.channel().event_loop(py);
            report_callback(event_loop, &made, this.as_any().clone(), error)
        }
        outcome => outcome.map(drop),
    }
}

/// Completes the future that the caller of `create_connection` waits for.
pub fn wake<T: Begins>(this: &Instance<'_, T>) -> PyResult<()> {
    let py = this.py();
    let Some(waiter) = this.beginning().waiter.take() else { return Ok(()) };
    let waiter = waiter.into_bound(py);
    if waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(());
    }
    waiter.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop)
}

impl Beginning {
    /// Shows the references to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        for object in [&self.made, &self.waiter] {
            if let Ok(object) = object.try_borrow() {
                visitor.see(object.as_ref());
            }
        }
    }

    /// Drops the references.
    pub fn clear(&self) {
        let parts = (self.made.take(), self.waiter.take());
        drop(parts);
    }
}

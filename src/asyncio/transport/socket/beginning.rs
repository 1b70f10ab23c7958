//! How a connection that was made here begins: its protocol is told, reading starts, and whoever
//! waits for it goes on. Each is an event of its own, as each is a callback with asyncio.

use std::cell::RefCell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::stream::{This, context_to_tell, start_in_its_context};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::class::visitor::Visitor;
use crate::asyncio::context::current_context;
use crate::asyncio::errors::is_fatal;
use crate::asyncio::handle::{self, HandleParts};
use crate::asyncio::item::EventHandler;
use crate::asyncio::python_half;
use crate::asyncio::transport::shared::Transport;
use crate::core::Direction;

/// What the events of the beginning need. Each takes its part.
#[derive(Default)]
pub struct Beginning {
    /// The protocol's `connection_made`.
    made: RefCell<Option<Py<PyAny>>>,
    /// A future that is done when the protocol knows and reading has started.
    waiter: RefCell<Option<Py<PyAny>>>,
}

static TELL: EventHandler = EventHandler {
    method: "_tell",
    run: |this| tell(Instance::of(this)?),
    context: |this| context_to_tell(This::of(this)?),
};

static START: EventHandler = EventHandler {
    method: "_start_reading",
    run: |this| start_in_its_context(Instance::of(this)?),
    context: |this| This::of(this)?.channel().context(this.py(), Direction::Read),
};

static WAKE: EventHandler = EventHandler {
    method: "_wake",
    run: |this| wake(Instance::of(this)?),
    // Whoever waits for the future is called in a context of its own.
    context: |this| current_context(this.py()),
};

/// Lets the protocol be told in the loop's next iteration, then reading start, then `waiter` be done.
pub fn begin_soon<'py>(
    this: &This<'py>,
    protocol: &Bound<'py, PyAny>,
    waiter: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let (py, channel) = (this.py(), this.channel());
    let made = protocol.getattr(intern!(py, "connection_made"))?;
    let context = channel.own_context(py).map_or_else(|| current_context(py), Ok)?;
    channel.set_context(Direction::Read, context);
    this.beginning().made.replace(Some(made.unbind()));
    channel.event_soon(this.as_any(), &TELL);
    channel.event_soon(this.as_any(), &START);
    if let Some(waiter) = waiter {
        this.beginning().waiter.replace(Some(waiter.unbind()));
        channel.event_soon(this.as_any(), &WAKE);
    }
    Ok(())
}

/// Calls `connection_made`. What it raises is reported as of the protocol's own method.
pub fn tell(this: &This<'_>) -> PyResult<()> {
    let py = this.py();
    let Some(made) = this.beginning().made.take() else { return Ok(()) };
    let made = made.into_bound(py);
    match made.call1((this.as_any(),)) {
        Err(error) if !is_fatal(py, &error) => report(this, &made, error),
        outcome => outcome.map(drop),
    }
}

fn report<'py>(this: &This<'py>, made: &Bound<'py, PyAny>, error: PyErr) -> PyResult<()> {
    let py = this.py();
    let Some(event_loop) = this.channel().event_loop(py) else { return Err(error) };
    let args = PyTuple::new(py, [this.as_any()])?;
    let context = current_context(py)?;
    let handle = HandleParts { callback: made, args, event_loop: event_loop.as_any(), context }
        .into_handle()?;
    handle::track(&handle);
    python_half::hooks(py)?.call_method1("report_error", (handle, error)).map(drop)
}

/// Whoever waits for the connection goes on.
pub fn wake(this: &This<'_>) -> PyResult<()> {
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

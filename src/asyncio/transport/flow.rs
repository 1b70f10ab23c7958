//! Flow control: a protocol is told when to stop writing, and when it may go on.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;

use super::shared::{self, Transport};
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::extension::Instance;
use crate::asyncio::errors::is_fatal;
use crate::asyncio::python_half;
use crate::io::{Change, Watermarks};

/// A transport that keeps what it cannot write at once.
pub trait Flowing: Transport {
    fn marks(&self) -> &Cell<Watermarks>;
    /// How many bytes wait to be written.
    fn waiting(&self) -> usize;
}

/// What waits to be written may have grown.
pub fn has_grown<T: Flowing>(this: &Instance<'_, T>) -> PyResult<()> {
    let mut marks = this.marks().get();
    let change = marks.grown(this.waiting());
    tell(this, marks, change)
}

/// What waits to be written may have shrunk.
pub fn has_shrunk<T: Flowing>(this: &Instance<'_, T>) -> PyResult<()> {
    let mut marks = this.marks().get();
    let change = marks.shrunk(this.waiting());
    tell(this, marks, change)
}

fn tell<T: Flowing>(
    this: &Instance<'_, T>,
    marks: Watermarks,
    change: Option<Change>,
) -> PyResult<()> {
    this.marks().set(marks);
    let (py, protocol) = (this.py(), this.channel().protocol(this.py()));
    let (Some(change), Some(protocol)) = (change, protocol) else { return Ok(()) };
    let method = match change {
        Change::Pause => intern!(py, "pause_writing"),
        Change::Resume => intern!(py, "resume_writing"),
    };
    match protocol.call_method0(method) {
        Ok(_) => Ok(()),
        Err(error) if is_fatal(py, &error) => Err(error),
        Err(error) => shared::report(this, &format!("protocol.{method}() failed"), error),
    }
}

pub fn get_write_buffer_size<T: Flowing>(this: &Instance<'_, T>) -> PyResult<usize> {
    Ok(this.waiting())
}

pub fn get_write_buffer_limits<'py, T: Flowing>(
    this: &Instance<'py, T>,
) -> PyResult<Bound<'py, PyAny>> {
    match this.channel().limits(this.py()) {
        Some(limits) => Ok(limits),
        None => Ok(this.marks().get().limits().into_pyobject(this.py())?.into_any()),
    }
}

pub fn set_write_buffer_limits<T: Flowing>(
    this: &Instance<'_, T>,
    arguments: &Arguments<'_>,
) -> PyResult<()> {
    let py = this.py();
    let [high, low] = arguments.all(py, ["high", "low"], 0)?;
    let limits = python_half::transports(py)?.call_method1("write_buffer_limits", (high, low))?;
    let (low, high, as_they_are) = limits.extract::<(usize, usize, Option<Bound<'_, PyAny>>)>()?;
    this.channel().set_limits(py, as_they_are);
    let mut marks = this.marks().get();
    marks.set_limits(low, high);
    this.marks().set(marks);
    has_grown(this)
}

pub fn is_protocol_paused<T: Flowing>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(this.marks().get().is_paused())
}

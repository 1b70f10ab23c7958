//! Transports that read: when they read, and when they pause.

use std::cell::Cell;

use pyo3::prelude::*;

use super::shared::{self, Transport};
use crate::asyncio::class::extension::Instance;
use crate::asyncio::item::EventHandler;
use crate::core::Direction;

/// A transport that reads.
pub trait Reading: Transport {
    /// Whether the protocol has asked not to be given anything for now.
    fn is_paused(&self) -> &Cell<bool>;
    /// The event of data that can be read.
    fn read_event() -> &'static EventHandler;
}

pub fn start_reading<T: Reading>(this: &Instance<'_, T>) -> PyResult<()> {
    if !is_reading(this)? {
        return Ok(());
    }
    this.channel().watch(this.as_any(), Direction::Read, T::read_event())
}

pub fn is_reading<T: Reading>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(!this.channel().is_closing() && !this.is_paused().get())
}

/// Whether the protocol has asked not to be given anything for now, even if the transport is
/// closed.
pub fn is_reading_paused<T: Reading>(this: &Instance<'_, T>) -> PyResult<bool> {
    Ok(this.is_paused().get())
}

pub fn pause_reading<T: Reading>(this: &Instance<'_, T>) -> PyResult<()> {
    if !is_reading(this)? {
        return Ok(());
    }
    this.is_paused().set(true);
    shared::unwatch(this, Direction::Read)?;
    shared::log(this, "%r pauses reading")
}

pub fn resume_reading<T: Reading>(this: &Instance<'_, T>) -> PyResult<()> {
    if this.channel().is_closing() || !this.is_paused().replace(false) {
        return Ok(());
    }
    start_reading(this)?;
    shared::log(this, "%r resumes reading")
}

//! The queued items of a loop, for Python code that lists them or runs one of them at once.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::client::PyDriver;
use super::item::Item;

/// The handles that are ready, and the handles of timers.
pub type Queued<'py> = (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>);

/// A handle for each item that belongs to Python.
pub fn handles<'py>(event_loop: &Bound<'py, PyAny>, driver: &PyDriver) -> PyResult<Queued<'py>> {
    let py = event_loop.py();
    // Handles are made when nothing is borrowed any more: that allocates, and so may start a
    // garbage collection.
    let (ready, timers) = driver.queued(|item| item.share_any(py));
    let as_handles = |items: Vec<Option<Item>>| {
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.into_handle(event_loop).transpose())
            .collect::<PyResult<_>>()
    };
    Ok((as_handles(ready)?, as_handles(timers)?))
}

/// Runs the item that was queued last, if it is the first step of `task`.
pub fn begin_now(driver: &PyDriver, task: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = task.py();
    let is_step = |item: &Item| match item {
        Item::Handle(handle) => handle
            .bind(py)
            .getattr(PyString::intern(py, "_callback"))
            .and_then(|callback| callback.getattr(PyString::intern(py, "__self__")))
            .is_ok_and(|of| of.is(task)),
        _ => false,
    };
    Ok(driver.run_last_now(is_step))
}

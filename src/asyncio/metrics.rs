//! The driver's counters as Python sees them.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::client::PyDriver;
use crate::driver::{BUCKETS, Histogram};

/// The counters by name, each a number or a histogram.
pub fn counters<'py>(py: Python<'py>, driver: &PyDriver) -> PyResult<Bound<'py, PyDict>> {
    let counters = driver.counters();
    let (ready, timers) = driver.pending();
    let dict = PyDict::new(py);
    dict.set_item("turns", counters.turns)?;
    dict.set_item("callbacks", counters.items)?;
    dict.set_item("overruns", counters.overruns)?;
    dict.set_item("ready", ready)?;
    dict.set_item("timers", timers)?;
    dict.set_item("fds", driver.watched_fds())?;
    dict.set_item("lateness", histogram(py, &counters.lateness)?)?;
    dict.set_item("turn_lengths", histogram(py, &counters.turn_lengths)?)?;
    Ok(dict)
}

/// The bounds of the buckets in seconds, the counts, the total and the longest in seconds.
fn histogram<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyTuple>> {
    let bounds = (0..BUCKETS)
        .map(|bucket| Histogram::bound(bucket).map_or(f64::INFINITY, |bound| bound.as_secs_f64()));
    let bounds = PyTuple::new(py, bounds.collect::<Vec<_>>())?;
    let counts = PyTuple::new(py, histogram.counts())?;
    let seconds = |span: Duration| span.as_secs_f64();
    (bounds, counts, seconds(histogram.total()), seconds(histogram.longest())).into_pyobject(py)
}

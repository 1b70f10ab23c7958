//! An extension module whose functions Python awaits: they run as tasks of Python's loop, on Qt's
//! thread.
//!
//! `app.py` beside this file is a program with a window that uses it.
#![allow(missing_docs)]

use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use qtloop::python::{future_into_py, into_future};
use qtloop::{sleep, timeout};

/// Numbers that are looked at in one go, which must not take long: Qt waits.
const SLICE: u64 = 500;

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

/// The primes below `limit`, a slice at a time. After each slice Python is told what was found, and
/// Qt has its turn.
async fn find_primes(limit: u64, found: &Py<PyAny>) -> PyResult<usize> {
    let mut count = 0;
    for start in (0..limit).step_by(SLICE as usize) {
        let end = limit.min(start + SLICE);
        let primes: Vec<u64> = (start..end).filter(|number| is_prime(*number)).collect();
        count += primes.len();
        Python::attach(|py| found.call1(py, (end as f64 / limit as f64, primes)).map(drop))?;
        sleep(Duration::from_millis(2)).await;
    }
    Ok(count)
}

#[pymodule]
mod rust_async_fn {
    use super::*;

    /// Counts the primes below `limit`. Calls `found(fraction, primes)` now and then.
    #[pyfunction]
    fn count_primes(py: Python<'_>, limit: u64, found: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move { find_primes(limit, &found).await })
    }

    /// The greatest prime factor of `number`, found by a thread; Python's loop goes on meanwhile.
    #[pyfunction]
    fn greatest_factor(py: Python<'_>, number: u64) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move {
            let (tell, told) = oneshot::channel();
            thread::spawn(move || {
                let factor = (1..=number)
                    .rev()
                    .find(|factor| number.is_multiple_of(*factor) && is_prime(*factor));
                // Cancelled, nobody wants to know.
                let _told = tell.send(factor);
            });
            told.await.map_err(|_| PyRuntimeError::new_err("the thread has died"))
        })
    }

    /// Awaits what `ask()` returns, a coroutine of Python's, but not for longer than `seconds`;
    /// None then.
    #[pyfunction]
    fn ask_for(py: Python<'_>, seconds: f64, ask: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move {
            let answer = Python::attach(|py| into_future(ask.bind(py).call0()?))?;
            timeout(Duration::from_secs_f64(seconds), answer).await.ok().transpose()
        })
    }
}

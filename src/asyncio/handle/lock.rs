//! The lock of a `ThreadSafeHandle`, which `call_soon_threadsafe` returns from Python 3.14 on, so
//! that any thread can cancel it.
//!
//! As with asyncio's own, the lock is held while the callback runs. Another thread that cancels the
//! handle meanwhile, or asks whether it was cancelled, waits until the callback has ended. The
//! callback itself may do both.

use pyo3::intern;
use pyo3::prelude::*;

use super::layout::{ThreadSafe, Types, types};
use crate::asyncio::class::memory::member;
use crate::asyncio::errors::finally;

/// Calls `body` with the handle's lock held, if it has one. A panic releases the lock too.
///
/// # Errors
/// What `body` returns, or what taking and releasing the lock raise. If both fail, the error of
/// `body` is the context of the other.
pub fn locked(handle: &Bound<'_, PyAny>, body: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
    locked_by(types(handle.py())?, handle, body)
}

/// As [`locked`], for who knows the classes.
///
/// # Errors
/// As [`locked`].
#[inline]
pub fn locked_by(
    types: &Types,
    handle: &Bound<'_, PyAny>,
    body: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    match types.threadsafe.as_ref().filter(|threadsafe| threadsafe.is_one(handle.as_ptr())) {
        None => body(),
        Some(threadsafe) => with_lock(threadsafe, handle, body),
    }
}

fn with_lock(
    threadsafe: &ThreadSafe,
    handle: &Bound<'_, PyAny>,
    body: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let py = handle.py();
    // SAFETY: an instance of the class has this member; one that somebody deleted ends here as an
    // error.
    let lock =
        unsafe { Bound::from_borrowed_ptr_or_err(py, *member(handle.as_ptr(), threadsafe.lock))? };
    lock.call_method0(intern!(py, "acquire"))?;
    let held = Held(Some(lock));
    let outcome = body();
    finally(py, outcome, held.release())
}

/// A lock that is held. It is released when this is dropped, if it was not before.
struct Held<'py>(Option<Bound<'py, PyAny>>);

impl Held<'_> {
    fn release(mut self) -> PyResult<()> {
        self.0.take().map_or(Ok(()), |lock| release(&lock))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Dropped by a panic.
        if let Some(lock) = self.0.take()
            && let Err(error) = release(&lock)
        {
            error.write_unraisable(lock.py(), Some(&lock));
        }
    }
}

fn release(lock: &Bound<'_, PyAny>) -> PyResult<()> {
    lock.call_method0(intern!(lock.py(), "release")).map(drop)
}

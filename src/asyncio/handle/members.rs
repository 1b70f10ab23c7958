//! What Rust reads of a handle and writes to it.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::layout::types;
use crate::asyncio::class::memory::{member, replace};
use crate::core::TimerKey;

/// Notes where the timer stands in the heap; `None`: it has left the heap.
pub fn set_timer_key(timer: &Bound<'_, PyAny>, key: Option<TimerKey>) -> PyResult<()> {
    let types = types(timer.py())?;
    if types.is_our_timer(timer.as_ptr()) {
        let scheduled = PyBool::new(timer.py(), key.is_some()).to_owned().into_ptr();
        // SAFETY: the object is one of ours, so both places are inside it.
        unsafe {
            timer
                .as_ptr()
                .byte_add(types.offsets.key)
                .cast::<TimerKey>()
                .write(key.unwrap_or(TimerKey::NONE));
            replace(timer.as_ptr(), types.offsets.scheduled, scheduled);
        }
    }
    Ok(())
}

/// Where a timer of ours stands in the heap.
pub fn timer_key(timer: &Bound<'_, PyAny>) -> Option<TimerKey> {
    let types = types(timer.py()).ok()?;
    if !types.is_our_timer(timer.as_ptr()) {
        return None;
    }
    // SAFETY: the object is one of ours, so the key's place is inside it and was written when it
    // was made.
    let key = unsafe { *timer.as_ptr().byte_add(types.offsets.key).cast::<TimerKey>() };
    (key != TimerKey::NONE).then_some(key)
}

/// Notes where the handle was made, for debug mode.
pub fn set_source_traceback(handle: &Bound<'_, PyAny>, stack: Bound<'_, PyAny>) -> PyResult<()> {
    let types = types(handle.py())?;
    // SAFETY: called with a handle that we have just made.
    unsafe { replace(handle.as_ptr(), types.offsets.source_traceback, stack.into_ptr()) };
    Ok(())
}

/// Whether the handle was cancelled. False for an object that is no handle.
pub fn is_cancelled(py: Python<'_>, handle: &Py<PyAny>) -> bool {
    let Ok(types) = types(py) else { return false };
    // SAFETY: the member is only read if the object is known to have it.
    types.knows(handle.as_ptr())
        && unsafe { ptr::eq(*member(handle.as_ptr(), types.offsets.cancelled), ffi::Py_True()) }
}

/// The context that the handle's callback runs in; `None` if the object is no handle that we know.
pub fn context<'py>(handle: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let types = types(handle.py()).ok()?;
    if !types.knows(handle.as_ptr()) {
        return None;
    }
    // SAFETY: the object has this member.
    unsafe {
        Bound::from_borrowed_ptr_or_opt(
            handle.py(),
            *member(handle.as_ptr(), types.offsets.context),
        )
    }
}

/// The loop that is to call the handle, unless somebody has deleted the attribute.
pub fn event_loop<'py>(handle: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let types = types(handle.py())?;
    // SAFETY: called with an instance of one of our classes, which has this member.
    Ok(unsafe {
        Bound::from_borrowed_ptr_or_opt(
            handle.py(),
            *member(handle.as_ptr(), types.offsets.event_loop),
        )
    })
}

/// Notes that the handle was cancelled.
pub fn set_cancelled(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let types = types(handle.py())?;
    let cancelled = PyBool::new(handle.py(), true).to_owned().into_ptr();
    // SAFETY: as above; an owned reference.
    unsafe { replace(handle.as_ptr(), types.offsets.cancelled, cancelled) };
    Ok(())
}

/// Sets the handle's `repr`.
pub fn set_repr(handle: &Bound<'_, PyAny>, repr: Bound<'_, PyAny>) -> PyResult<()> {
    let types = types(handle.py())?;
    // SAFETY: as above; an owned reference.
    unsafe { replace(handle.as_ptr(), types.offsets.repr, repr.into_ptr()) };
    Ok(())
}

/// Drops the callback and its arguments.
pub fn forget_callback(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    // SAFETY: as above; owned references.
    unsafe {
        replace(handle.as_ptr(), types.offsets.callback, py.None().into_ptr());
        replace(handle.as_ptr(), types.offsets.args, py.None().into_ptr());
    }
    Ok(())
}

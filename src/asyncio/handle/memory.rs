//! A handle's memory: made, shown to the garbage collector, kept for reuse.
//!
//! Two tricks make handles cheap. What each gains is how many more instructions the rows of
//! `make bench` take without it (callgrind, CPython 3.13; docs/performance.md has the table).
//!
//! * *Spare handles.* Freed handles are kept, and the next ones are made of them: no allocation.
//!   Without spares `call-soon-chain` takes 8.3 % more, `sleep0-1000-tasks` 2.9 %, `call-later`
//!   2.7 %, `task-create` 2.6 %. It is safe because a spare is nobody's: it is untracked, all its
//!   members are null and it has no reference to its class ([`free`]), and it is used with the GIL
//!   held.
//! * *Hidden handles.* The garbage collector does not look into handles that only a queue has.
//!   Without hiding, a burst of 20,000 `call_soon` takes 33 % more: 29 % of its instructions are
//!   the collector's (`gc_collect_main` and what it calls), instead of 6 %, in as many collections.
//!   `call-later` takes 13 % more. Rows with few handles at a time lose nothing. [`queue`] says why
//!   it is safe.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::layout::{TYPES, Types, types};
use crate::asyncio::class::memory::{Spares, member, replace};
use crate::asyncio::class::trash;

/// How many freed handles of each class are kept.
const SPARES: usize = 2048;

/// Lets the garbage collector see the handle, if the collector does not know it yet.
pub fn track(handle: &Bound<'_, PyAny>) {
    let object = handle.as_ptr();
    let is_ours = types(handle.py()).is_ok_and(|types| types.is_ours(object));
    // SAFETY: a live, completely filled object of a class with a collector's header.
    unsafe {
        if is_ours && ffi::PyObject_GC_IsTracked(object) == 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// The handle is about to be put into a queue, and to be returned to the caller of `call_soon` or
/// another such method. Nothing may happen in between.
///
/// Most handles are made, run and freed while only the queue has them. The collector would look at
/// each in vain. Such a handle is *hidden*: the collector does not know it, and the loop shows the
/// members of the handle as its own ([`visit`]). That is right only if nobody else has the handle,
/// and this is not known yet. So the newest handle is tracked, as any object. When the next one is
/// made, the one before is hidden, unless somebody has kept it; then it stays tracked. Whoever does
/// not have a handle by that time cannot get it before it runs.
pub fn queue(handle: &Bound<'_, PyAny>) {
    let (object, Some(types)) = (handle.as_ptr(), TYPES.get(handle.py())) else { return };
    // SAFETY: a new object of ours, completely filled, not tracked yet.
    unsafe { ffi::PyObject_GC_Track(object.cast()) };
    let before = types.newest.0.replace(object);
    // SAFETY: the newest handle lives: it is forgotten when it is freed. It is in a queue: it is
    // forgotten when it leaves that.
    unsafe {
        if !before.is_null() && ffi::Py_REFCNT(before) == 1 && !types.has_weak_references(before) {
            ffi::PyObject_GC_UnTrack(before.cast());
        }
    }
}

/// The handle leaves the queue. From now on the loop does not show its members.
pub fn leave_queue(handle: &Bound<'_, PyAny>) {
    if let Some(types) = TYPES.get(handle.py()) {
        types.newest.forget(handle.as_ptr());
    }
}

/// As [`leave_queue`], for all handles of a loop.
pub fn leave_queues(py: Python<'_>) {
    if let Some(types) = TYPES.get(py) {
        types.newest.0.set(ptr::null_mut());
    }
}

/// Shows the collector what an item of a queue refers to: the handle itself or, if it is hidden,
/// its members.
pub fn visit(item: &Py<PyAny>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    // SAFETY: the collector holds the GIL. No reference is made or dropped here.
    let py = unsafe { Python::assume_attached() };
    let Some(types) = TYPES.get(py) else { return Ok(()) };
    let object = item.as_ptr();
    // SAFETY: reads of a live object.
    let is_hidden = types.is_ours(object)
        && unsafe { ffi::PyObject_GC_IsTracked(object) == 0 && ffi::Py_REFCNT(object) == 1 };
    if !is_hidden {
        return visit.call(item);
    }
    let mut outcome = Ok(());
    types.each_member(object, |offset| {
        // SAFETY: the member is null or a live object, which is just how an `Option<Py>` is laid
        // out.
        let member = unsafe { &*member(object, offset).cast::<Option<Py<PyAny>>>() };
        outcome = visit.call(member);
        c_int::from(outcome.is_err())
    });
    outcome
}

pub unsafe extern "C" fn traverse(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector holds the GIL.
    let py = unsafe { Python::assume_attached() };
    let Some(types) = TYPES.get(py) else { return 0 };
    let visit_one = |object: *mut ffi::PyObject| {
        // SAFETY: the collector's own function, called with a live object.
        if object.is_null() { 0 } else { unsafe { visit(object, arg) } }
    };
    // SAFETY: an instance of one of our classes has these members.
    let outcome = types.each_member(object, |offset| visit_one(unsafe { *member(object, offset) }));
    if outcome != 0 {
        return outcome;
    }
    // SAFETY: an instance of a heap type owns a reference to it.
    visit_one(unsafe { ffi::Py_TYPE(object) }.cast())
}

pub unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector, or by `dealloc`, with the GIL held.
    let py = unsafe { Python::assume_attached() };
    if let Some(types) = TYPES.get(py) {
        empty(types, object);
    }
    0
}

/// Lets go of all that the handle refers to.
#[inline]
fn empty(types: &Types, object: *mut ffi::PyObject) {
    types.each_member(object, |offset| {
        // SAFETY: an instance of one of our classes has these members.
        unsafe { replace(object, offset, ptr::null_mut()) };
        0
    });
}

pub unsafe extern "C" fn dealloc_handle(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of our `Handle`, which may be the last of many that
    // refer to each other.
    unsafe { trash::free(object, |object| free(object, |types| Some(&types.spare_handles))) }
}

pub unsafe extern "C" fn dealloc_timer(object: *mut ffi::PyObject) {
    // SAFETY: as above, of our `TimerHandle`.
    unsafe { trash::free(object, |object| free(object, |types| Some(&types.spare_timers))) }
}

pub unsafe extern "C" fn dealloc_threadsafe(object: *mut ffi::PyObject) {
    // SAFETY: as above, of our `ThreadSafeHandle`.
    unsafe {
        trash::free(object, |object| free(object, |types| Some(&types.threadsafe.as_ref()?.spares)))
    }
}

/// Empties the object and keeps its memory, or frees it.
///
/// # Safety
/// `object` is an instance of the class that `spares` belong to, with no reference left.
unsafe fn free(object: *mut ffi::PyObject, spares: fn(&Types) -> Option<&Spares>) {
    // SAFETY: objects are deallocated with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller's promise; this is the order that Python prescribes: untrack, weak
    // references, members, memory, type.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        let mut is_kept = false;
        if let Some(types) = TYPES.get(py) {
            if types.has_weak_references(object) {
                ffi::PyObject_ClearWeakRefs(object);
            }
            empty(types, object);
            types.newest.forget(object);
            is_kept = spares(types).is_some_and(|spares| spares.keep(object, SPARES));
        }
        if !is_kept {
            ffi::PyObject_GC_Del(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

//! `Handle` and `TimerHandle`: asyncio's own classes, extended in C terms so that making and running one is cheap.
//!
//! They are real subclasses of `asyncio.Handle` and `asyncio.TimerHandle`: `isinstance`, `repr`, comparisons, attributes and
//! `_run` are the stock ones. What differs is that Rust reads and writes the attributes (`__slots__` members) at their offsets,
//! which are looked up once, and that freed handles are kept for reuse. A Python whose handles have other members fails at
//! import, by name, not later by crash.

mod memory;
mod threadsafe;
mod types;

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

pub use memory::{leave_queue, leave_queues, queue, track, visit};
pub use types::register;

use self::memory::{allocate, member, replace};
use self::threadsafe::locked;
use self::types::{Offsets, Spares, types};
use super::abi::guard;
use super::event_loop::Loop;
use crate::core::TimerKey;

/// What a new handle is made of.
pub struct Call<'a, 'py> {
    /// The function.
    pub callback: &'a Bound<'py, PyAny>,
    /// Its positional arguments.
    pub args: Bound<'py, PyTuple>,
    /// The loop that will call it.
    pub event_loop: &'a Bound<'py, PyAny>,
    /// The context it will run in.
    pub context: Bound<'py, PyAny>,
}

impl<'py> Call<'_, 'py> {
    /// Fills the members of a new handle.
    ///
    /// # Safety
    /// `handle` is of a known class and its members are null.
    unsafe fn fill(self, handle: *mut ffi::PyObject, offsets: &Offsets) {
        let py = self.args.py();
        // SAFETY: the caller's promise; each value is an owned reference.
        unsafe {
            *member(handle, offsets.callback) = self.callback.clone().into_ptr();
            *member(handle, offsets.args) = self.args.into_ptr();
            *member(handle, offsets.event_loop) = self.event_loop.clone().into_ptr();
            *member(handle, offsets.context) = self.context.into_ptr();
            *member(handle, offsets.cancelled) = pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            *member(handle, offsets.source_traceback) = py.None().into_ptr();
            *member(handle, offsets.repr) = py.None().into_ptr();
        }
    }

    /// Makes a `Handle`. The collector does not know it yet: [`queue`] or [`track`] is to follow.
    pub fn into_handle(self) -> PyResult<Bound<'py, PyAny>> {
        let types = types(self.args.py())?;
        self.into_handle_of(&types.handle, &types.spare_handles)
    }

    /// Makes an instance of `class`, one of ours that has the members of a `Handle`. Members of its own are null.
    fn into_handle_of(self, class: &Py<PyType>, spares: &Spares) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let offsets = &types(py)?.offsets;
        let handle = allocate(py, class, spares)?;
        // SAFETY: `handle` is new, ours, and owned by us.
        unsafe {
            self.fill(handle, offsets);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }

    /// Makes a `TimerHandle` that is due at `when`, a number. The collector does not know it yet, either.
    pub fn into_timer(self, when: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        let handle = allocate(py, &types.timer, &types.spare_timers)?;
        // SAFETY: `handle` is new, ours, and owned by us; the key's place is inside it and aligned.
        unsafe {
            self.fill(handle, &types.offsets);
            *member(handle, types.offsets.when) = when.clone().into_ptr();
            *member(handle, types.offsets.scheduled) = pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            handle.byte_add(types.offsets.key).cast::<Option<TimerKey>>().write(None);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }
}

/// Notes where the timer stands in the heap, or that it has left it.
pub fn set_timer_key(timer: &Bound<'_, PyAny>, key: Option<TimerKey>) -> PyResult<()> {
    let types = types(timer.py())?;
    if types.is_our_timer(timer.as_ptr()) {
        let scheduled = pyo3::types::PyBool::new(timer.py(), key.is_some()).to_owned().into_ptr();
        // SAFETY: the object is one of ours, so both places are inside it.
        unsafe {
            timer.as_ptr().byte_add(types.offsets.key).cast::<Option<TimerKey>>().write(key);
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
    // SAFETY: the object is one of ours, so the key's place is inside it and was written when it was made.
    unsafe { *timer.as_ptr().byte_add(types.offsets.key).cast::<Option<TimerKey>>() }
}

/// Sets where the handle was made, for debug mode.
pub fn set_source_traceback(handle: &Bound<'_, PyAny>, stack: Bound<'_, PyAny>) -> PyResult<()> {
    let types = types(handle.py())?;
    // SAFETY: called with a handle that we have just made.
    unsafe { replace(handle.as_ptr(), types.offsets.source_traceback, stack.into_ptr()) };
    Ok(())
}

/// Whether the handle was cancelled. Any object that is not a handle was not.
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
    unsafe { Bound::from_borrowed_ptr_or_opt(handle.py(), *member(handle.as_ptr(), types.offsets.context)) }
}

/// Calls the handle's callback in its context, unless it was cancelled. `running` has that context meanwhile.
///
/// # Errors
/// What the callback raised.
pub fn run(handle: &Bound<'_, PyAny>, running: &Cell<*mut ffi::PyObject>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    if !types.knows(handle.as_ptr()) {
        return entered(running, py.None().as_ptr(), || handle.call_method0("_run").map(drop));
    }
    if is_cancelled(py, handle.as_unbound()) {
        return Ok(());
    }
    locked(handle, types, || run_callback(handle, &types.offsets, running))
}

fn run_callback(handle: &Bound<'_, PyAny>, offsets: &Offsets, running: &Cell<*mut ffi::PyObject>) -> PyResult<()> {
    let py = handle.py();
    // SAFETY: the object has these members. Each value read is kept by a reference of our own, since the callback may cancel
    // its handle; a null (an attribute that somebody deleted) ends here as an error.
    unsafe {
        if ptr::eq(*member(handle.as_ptr(), offsets.cancelled), ffi::Py_True()) {
            return Ok(());
        }
        let own = |offset| Bound::from_borrowed_ptr_or_err(py, *member(handle.as_ptr(), offset));
        let (callback, args, context) = (own(offsets.callback)?, own(offsets.args)?, own(offsets.context)?);
        entered(running, context.as_ptr(), || in_context(&context, || call(&callback, &args)))
    }
}

/// Calls with `running` set to `context`, a borrowed reference that outlives the call.
pub fn entered<R>(running: &Cell<*mut ffi::PyObject>, context: *mut ffi::PyObject, call: impl FnOnce() -> R) -> R {
    let _entered = Entered { running, around: running.replace(context) };
    call()
}

/// Says again what ran before, also after a panic.
struct Entered<'a> {
    running: &'a Cell<*mut ffi::PyObject>,
    around: *mut ffi::PyObject,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.running.set(self.around);
    }
}

/// Calls with `context` entered.
///
/// # Errors
/// What `call` returns, or Python's if it is no context, or one that is entered already.
pub fn in_context(context: &Bound<'_, PyAny>, call: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
    let py = context.py();
    // SAFETY: the object is live; one that is no context is refused by Python with an exception.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    let inside = Inside(context);
    let outcome = call();
    outcome.and(inside.leave())
}

/// A context that was entered. It is exited also by a panic.
struct Inside<'a, 'py>(&'a Bound<'py, PyAny>);

impl Inside<'_, '_> {
    /// Exits it. What fails otherwise nobody hears of.
    fn leave(self) -> PyResult<()> {
        ManuallyDrop::new(self).exit()
    }

    fn exit(&self) -> PyResult<()> {
        // SAFETY: a live object; Python refuses, with an exception, to exit what is not the current context.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } < 0 {
            return Err(PyErr::fetch(self.0.py()));
        }
        Ok(())
    }
}

impl Drop for Inside<'_, '_> {
    fn drop(&mut self) {
        let _exited = self.exit();
    }
}

fn call(callback: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: both are live; args that are no tuple are refused by Python with an exception. The result is a new reference, or null
    // with an exception set.
    unsafe {
        let result = if ffi::PyTuple_CheckExact(args.as_ptr()) != 0 {
            let items = &raw const (*args.as_ptr().cast::<ffi::PyTupleObject>()).ob_item;
            let count = ffi::PyTuple_GET_SIZE(args.as_ptr()) as usize;
            ffi::PyObject_Vectorcall(callback.as_ptr(), items.cast(), count, ptr::null_mut())
        } else {
            ffi::PyObject_CallObject(callback.as_ptr(), args.as_ptr())
        };
        Bound::from_owned_ptr_or_err(callback.py(), result).map(drop)
    }
}

unsafe extern "C" fn cancel(handle: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of one of our classes.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        cancel_handle(&handle)?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn reduce(handle: *mut ffi::PyObject, protocol: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of one of our classes, and a live argument.
        let arguments = unsafe { (Bound::from_borrowed_ptr(py, handle), Bound::from_borrowed_ptr(py, protocol)) };
        py.import("qtloop._hooks")?.call_method1("reduce_handle", arguments).map(Bound::into_ptr)
    })
}

fn cancel_handle(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    let offsets = &types.offsets;
    let object = handle.as_ptr();
    // SAFETY: an instance of one of our classes has these members; each value written is an owned reference.
    unsafe {
        if ptr::eq(*member(object, offsets.cancelled), ffi::Py_True()) {
            return Ok(());
        }
        replace(object, offsets.cancelled, pyo3::types::PyBool::new(py, true).to_owned().into_ptr());
        let event_loop = Bound::from_borrowed_ptr_or_opt(py, *member(object, offsets.event_loop));
        if let Some(event_loop) = event_loop.as_ref().and_then(|event_loop| event_loop.cast::<Loop>().ok()) {
            let event_loop = event_loop.get();
            if let Some(key) = timer_key(handle) {
                event_loop.forget_timer(handle, key)?;
            }
            if event_loop.is_debugging() {
                // What was cancelled is still to be named in a warning about how long something took.
                replace(object, offsets.repr, handle.repr()?.into_ptr());
            }
        }
        replace(object, offsets.callback, py.None().into_ptr());
        replace(object, offsets.args, py.None().into_ptr());
    }
    Ok(())
}

//! Frees chains of objects, of any length, on a stack of limited depth.
//!
//! An object that is freed drops what it refers to, which may free the next object, and so on. A
//! chain of a hundred thousand objects would need a stack of that depth. CPython's own containers
//! put aside what is freed too deep in the stack (its "trashcan"). Extensions cannot use that in
//! one form on every version. So this does the same: from a certain depth on, an object waits,
//! whole, until the outermost of our deallocations has ended. Chains that also have CPython's
//! objects in them have two limits, and keep both.

use std::cell::{Cell, RefCell};
use std::mem;
use std::ops::Deref;

use pyo3::ffi;
use pyo3::prelude::*;

/// How many deallocations of ours may be on the stack.
const MAX_DEPTH: u32 = 32;

/// So much capacity is kept for the next time.
const MANY: usize = 1024;

/// The state of a thread's deallocations. It is read and written for every object, so it needs no
/// initialisation.
struct State {
    depth: Cell<u32>,
    /// Whether something was put aside.
    is_filled: Cell<bool>,
}

/// Something that was put aside.
enum Aside {
    /// An object without a reference, untracked, and the function that frees it.
    Object(*mut ffi::PyObject, unsafe fn(*mut ffi::PyObject)),
    /// A reference.
    Reference(Option<Py<PyAny>>),
}

thread_local! {
    static STATE: State = const { State { depth: Cell::new(0), is_filled: Cell::new(false) } };
    static ASIDE: RefCell<Vec<Aside>> = const { RefCell::new(Vec::new()) };
}

/// Calls `free` for an object that has no reference left: now, or later if that is too deep in the
/// stack.
///
/// # Safety
/// Python deallocates the object, whose class has the collector's header, and `free` may be called
/// for it. It may be untracked then.
pub unsafe fn free(object: *mut ffi::PyObject, free: unsafe fn(*mut ffi::PyObject)) {
    let put_aside = || {
        // The collector must not come across an object that is about to be freed.
        // SAFETY: the caller's promise.
        unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
        Aside::Object(object, free)
    };
    // SAFETY: the caller's promise.
    bounded(put_aside, || unsafe { free(object) });
}

/// A reference in an object whose class pyo3 deallocates. It is dropped in the same way as the
/// members of an object that [`free`] frees.
pub struct Held(Option<Py<PyAny>>);

impl Held {
    pub fn new(object: Py<PyAny>) -> Held {
        Held(Some(object))
    }
}

impl Deref for Held {
    type Target = Py<PyAny>;
    fn deref(&self) -> &Py<PyAny> {
        match &self.0 {
            Some(object) => object,
            None => unreachable!("it is there until this is dropped"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let reference = Cell::new(self.0.take());
        bounded(|| Aside::Reference(reference.take()), || drop(reference.take()));
    }
}

/// Calls `now`, or puts `aside` aside.
#[inline]
fn bounded(aside: impl FnOnce() -> Aside, now: impl FnOnce()) {
    STATE.with(|state| {
        let depth = state.depth.get();
        if depth >= MAX_DEPTH && has_room() {
            state.is_filled.set(true);
            let aside = aside();
            ASIDE.with(|waiting| waiting.borrow_mut().push(aside));
            return;
        }
        state.depth.set(depth + 1);
        now();
        if depth == 0 && state.is_filled.get() {
            empty(state);
        }
        state.depth.set(depth);
    });
}

/// Whether something can be put aside. Nothing can if there is no memory, or if the thread is about
/// to end.
#[cold]
fn has_room() -> bool {
    ASIDE.try_with(|waiting| waiting.borrow_mut().try_reserve(1).is_ok()).unwrap_or(false)
}

/// Frees what was put aside. What these objects put aside in their turn is freed here too.
#[cold]
fn empty(state: &State) {
    while let Some(aside) = ASIDE.with(|waiting| waiting.borrow_mut().pop()) {
        match aside {
            // SAFETY: promised when it was put aside; nobody has seen the object since.
            Aside::Object(object, free) => unsafe { free(object) },
            Aside::Reference(reference) => drop(reference),
        }
    }
    state.is_filled.set(false);
    let spent = ASIDE.with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        if waiting.capacity() > MANY { mem::take(&mut *waiting) } else { Vec::new() }
    });
    drop(spent);
}

//! The part of a task that depends on the type of its future: the future, and then its outcome in
//! the same place.

use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};
use std::thread;

use super::raw::Header;
use crate::panics::contain;

/// The outcome of a task; `None` if it was cancelled.
pub(in crate::task) type Outcome<T> = Option<thread::Result<T>>;

/// The functions that depend on the future's type.
///
/// # Safety
/// All functions are for a task of that type, to which the caller has a reference. The caller has
/// the right to what they poll, drop or move. The future belongs to the loop's thread, which must
/// not be polling it already; for the outcome see `raw`.
/// see `raw`.
pub(in crate::task) struct TaskVTable {
    /// Polls the future. Returns whether it has ended; then its outcome is in its place.
    pub(in crate::task) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops what is there: the future or the outcome.
    pub(in crate::task) clear: unsafe fn(NonNull<Header>),
    /// Moves the outcome to the pointer's target, which must have room for an `Outcome` of the
    /// output's type.
    pub(in crate::task) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Frees the memory. The reference must be the last one, and the future must be gone.
    pub(in crate::task) free: unsafe fn(NonNull<Header>),
}

/// A whole task. The header comes first.
#[repr(C)]
pub(in crate::task) struct Body<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Future(F),
    Outcome(thread::Result<F::Output>),
    Empty,
}

impl<F: Future> Body<F> {
    pub(in crate::task) const VTABLE: &'static TaskVTable =
        &TaskVTable { poll: Self::poll, clear: Self::clear, take: Self::take, free: Self::free };

    /// A task in memory of its own. Its function frees it.
    pub(in crate::task) fn make(header: Header, future: F) -> NonNull<Header> {
        let body = Box::new(Body { header, stage: UnsafeCell::new(Stage::Future(future)) });
        NonNull::from(Box::leak(body)).cast()
    }

    /// Where the future or the outcome is.
    ///
    /// # Safety
    /// `task` is a task of this type.
    unsafe fn stage(task: NonNull<Header>) -> *mut Stage<F> {
        let body = task.cast::<Body<F>>().as_ptr();
        // SAFETY: the caller's promise.
        UnsafeCell::raw_get(unsafe { &raw const (*body).stage })
    }

    unsafe fn poll(task: NonNull<Header>, context: &mut Context<'_>) -> bool {
        // SAFETY: the caller's promise: it is the loop's thread, and does not poll the task yet.
        let stage = unsafe { &mut *Self::stage(task) };
        let Stage::Future(future) = stage else { return true };
        // SAFETY: the future is not moved before it is dropped.
        let future = unsafe { Pin::new_unchecked(future) };
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        // SAFETY: as above.
        unsafe { Self::replace(task, Stage::Outcome(outcome)) };
        true
    }

    unsafe fn clear(task: NonNull<Header>) {
        // SAFETY: the caller's promise: what is there is its own.
        unsafe { Self::replace(task, Stage::Empty) };
    }

    /// Drops what is there, and puts `next` in its place.
    unsafe fn replace(task: NonNull<Header>, next: Stage<F>) {
        // SAFETY: the caller's promise: what is there is its own.
        let stage = unsafe { Self::stage(task) };
        // SAFETY: as above; what is dropped is overwritten, also after a panic.
        contain(|| unsafe { ptr::drop_in_place(stage) });
        // SAFETY: as above.
        unsafe { stage.write(next) };
    }

    unsafe fn take(task: NonNull<Header>, outcome: *mut ()) {
        // SAFETY: the caller's promise: the outcome is its own.
        let stage = unsafe { Self::stage(task).replace(Stage::Empty) };
        let taken = if let Stage::Outcome(outcome) = stage { Some(outcome) } else { None };
        // SAFETY: the caller's promise: the place is for an outcome of this type.
        unsafe { outcome.cast::<Outcome<F::Output>>().write(taken) };
    }

    unsafe fn free(task: NonNull<Header>) {
        // SAFETY: the caller's promise: this was the last reference.
        drop(unsafe { Box::from_raw(task.cast::<Body<F>>().as_ptr()) });
    }
}

//! A task's waker: a counted reference, as the standard library wants it.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::raw::{Header, TaskRef};

/// The waker that a reference to the task makes.
///
/// # Safety
/// The reference is the waker's. Or the waker is forgotten before the reference ends.
pub(in crate::task) unsafe fn waker(task: NonNull<Header>) -> Waker {
    // SAFETY: the functions keep the contract of `RawWaker`: they may be called on any thread.
    unsafe { Waker::from_raw(raw(task)) }
}

const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn raw(task: NonNull<Header>) -> RawWaker {
    RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE)
}

/// The reference that a waker is.
///
/// # Safety
/// `data` belongs to a waker that is used up, or the reference is forgotten.
unsafe fn reference(data: *const ()) -> TaskRef {
    // SAFETY: the caller's promise: it was not null.
    unsafe { TaskRef::from_raw(NonNull::new_unchecked(data.cast_mut().cast())) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker stays.
    let task = ManuallyDrop::new(unsafe { reference(data) });
    raw(TaskRef::clone(&task).into_raw())
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker is used up.
    unsafe { reference(data) }.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker stays.
    ManuallyDrop::new(unsafe { reference(data) }).wake();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker is used up.
    drop(unsafe { reference(data) });
}

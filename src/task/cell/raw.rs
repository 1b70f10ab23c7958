//! A task: which thread polls it, which one drops which part, and when.
//!
//! # Who owns what
//!
//! * The *future* belongs to the loop's thread, which alone polls and drops it.
//! * [`TaskState`] belongs to that thread as well, so a wake there costs no atomic operation. Other
//!   threads have [`Flags`].
//! * The *outcome* takes the future's place. It belongs to the
//!   [`JoinHandle`](crate::task::JoinHandle), or to the loop's thread if the task was detached
//!   first.
//! * The *memory* is counted: one reference for each waker, one for the `JoinHandle`, and one for
//!   the executor's table. The table gives its reference up when the future is gone and nothing of
//!   the task is under way to the loop's thread. What is queued or under way ([`Queued`], [`Sent`])
//!   therefore needs no reference of its own.

use std::cell::Cell;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::process;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::AtomicWaker;

use super::body::{Body, Outcome, TaskVTable};
use super::flags::Flags;
use super::waker::waker;
use crate::panics::contain;
use crate::task::executor::{Executor, Shared};
use crate::task::foreign::job::Work;

/// What the loop's thread knows of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskState {
    /// It waits until it is woken.
    Idle,
    /// There is a [`Queued`] for it.
    Queued,
    /// It is being polled, somewhere on the stack.
    Running,
    /// It is being polled, and was woken meanwhile.
    RunningWoken,
    /// Its future is gone.
    Ended,
}

/// The beginning of every task.
pub(in crate::task) struct Header {
    vtable: &'static TaskVTable,
    references: AtomicUsize,
    flags: Flags,
    /// For the loop's thread alone.
    state: Cell<TaskState>,
    shared: Arc<Shared>,
    /// The task's place in the executor's table.
    key: usize,
    /// What is woken when the outcome is there.
    waiter: AtomicWaker,
}

/// A reference to a task that is counted.
#[derive(Debug)]
pub(in crate::task) struct TaskRef(NonNull<Header>);

// SAFETY: the counter and the flags are atomic, and what this offers to other threads touches
// nothing else but the shared part of the executor, which is `Sync`. What belongs to one thread is
// reached by `unsafe` functions, by `Queued` and by `Sent`.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// A task that is idle, and its reference for the executor's table.
    ///
    /// # Safety
    /// If the future is not `Send`, this is the loop's thread.
    pub(in crate::task) unsafe fn new<F: Future>(
        shared: Arc<Shared>,
        key: usize,
        future: F,
    ) -> TaskRef {
        let header = Header {
            vtable: Body::<F>::VTABLE,
            references: AtomicUsize::new(1),
            flags: Flags::default(),
            state: Cell::new(TaskState::Idle),
            shared,
            key,
            waiter: AtomicWaker::new(),
        };
        TaskRef(Body::make(header, future))
    }

    /// A reference that was counted, and forgotten by [`into_raw`](TaskRef::into_raw).
    ///
    /// # Safety
    /// It is not used again.
    pub(in crate::task) unsafe fn from_raw(task: NonNull<Header>) -> TaskRef {
        TaskRef(task)
    }

    /// The task. The caller takes the reference over.
    pub(in crate::task) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    fn header(&self) -> &Header {
        // SAFETY: there is a reference.
        unsafe { self.0.as_ref() }
    }

    /// Wakes the task, from any thread.
    pub(in crate::task) fn wake(&self) {
        Header::wake(self.0);
    }

    /// The task is not to be polled again. Its future is dropped in the loop's next batch.
    pub(in crate::task) fn cancel(&self) {
        self.header().flags.cancel();
        self.wake();
    }

    /// Nobody will ask for the outcome. Returns whether the task has ended before; then the outcome
    /// is dropped.
    ///
    /// # Safety
    /// The caller has the task's [`JoinHandle`](crate::task::JoinHandle), and does not call
    /// [`poll_outcome`](TaskRef::poll_outcome) any more.
    pub(in crate::task) unsafe fn detach(&self) -> bool {
        let has_ended = self.header().flags.detach();
        if has_ended {
            // SAFETY: the task has ended while it was awaited: what is there is the caller's.
            unsafe { (self.header().vtable.clear)(self.0) };
        }
        has_ended
    }

    pub(in crate::task) fn has_ended(&self) -> bool {
        self.header().flags.has_ended()
    }

    /// The outcome, when there is one. It can be taken only once: from then on it is that of a
    /// cancelled task.
    ///
    /// # Safety
    /// `T` is the output's type. The caller has the task's [`JoinHandle`](crate::task::JoinHandle).
    pub(in crate::task) unsafe fn poll_outcome<T>(
        &self,
        context: &Context<'_>,
    ) -> Poll<Outcome<T>> {
        if !self.has_ended() {
            self.header().waiter.register(context.waker());
            if !self.has_ended() {
                return Poll::Pending;
            }
        }
        let mut outcome = MaybeUninit::<Outcome<T>>::uninit();
        // SAFETY: the task has ended while it was awaited: the outcome is the caller's, and is
        // written to where it has room.
        Poll::Ready(unsafe {
            (self.header().vtable.take)(self.0, outcome.as_mut_ptr().cast());
            outcome.assume_init()
        })
    }

    /// Drops the future of a task that waits to be woken. A task that is queued or under way ends
    /// when that is dropped.
    ///
    /// # Safety
    /// This is the loop's thread.
    pub(in crate::task) unsafe fn abandon(&self) {
        if self.header().state.get() == TaskState::Idle {
            // SAFETY: the caller's promise.
            unsafe { Header::abandon(self.0) };
        }
    }

    /// Queues a task that is new.
    ///
    /// # Safety
    /// This is the thread of the task's loop, whose executor this is.
    pub(in crate::task) unsafe fn queue(&self, executor: &Executor) {
        // SAFETY: the caller's promise.
        unsafe { Header::queue(self.0, executor) };
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> TaskRef {
        let before = self.header().references.fetch_add(1, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            // Somebody leaks wakers in a loop. To free the task too early would be worse.
            process::abort();
        }
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: it is given up.
        unsafe { Header::release(self.0) };
    }
}

impl Header {
    fn wake(task: NonNull<Header>) {
        // SAFETY: the caller has a reference.
        let header = unsafe { task.as_ref() };
        match Executor::current_is(&header.shared) {
            // SAFETY: the loop is the current one of this thread, so it is its thread.
            true => unsafe { Header::wake_here(task) },
            false => Header::send(task),
        }
    }

    /// # Safety
    /// This is the loop's thread.
    unsafe fn wake_here(task: NonNull<Header>) {
        // SAFETY: the caller has a reference.
        let header = unsafe { task.as_ref() };
        match header.state.get() {
            // SAFETY: the caller's promise.
            TaskState::Idle => unsafe { Header::requeue(task) },
            TaskState::Running => header.state.set(TaskState::RunningWoken),
            TaskState::Queued | TaskState::RunningWoken | TaskState::Ended => {}
        }
    }

    /// Wakes the task from a thread that may be another one than the loop's.
    fn send(task: NonNull<Header>) {
        // SAFETY: the caller has a reference, and keeps it until this is done.
        let header = unsafe { task.as_ref() };
        if header.flags.wake() {
            header.shared.send_task(Sent(task));
        }
    }

    /// Queues a task that is idle, unless its executor is gone.
    ///
    /// # Safety
    /// This is the loop's thread.
    unsafe fn requeue(task: NonNull<Header>) {
        // SAFETY: the caller's promises.
        unsafe {
            let executor = task.as_ref().shared.home();
            executor.into_iter().for_each(|executor| Header::queue(task, &executor));
        }
    }

    /// # Safety
    /// This is the loop's thread.
    unsafe fn queue(task: NonNull<Header>, executor: &Executor) {
        // A closed loop drops the futures of idle tasks; see `Executor::close`.
        if !executor.is_closed() {
            // SAFETY: the executor's table has a reference.
            unsafe { task.as_ref() }.state.set(TaskState::Queued);
            executor.schedule(Queued(task));
        }
    }

    /// Polls a task that is idle or was queued.
    ///
    /// # Safety
    /// This is the loop's thread, and there is no [`Queued`] any more.
    unsafe fn run(task: NonNull<Header>) {
        // SAFETY: the executor's table has a reference until the future is gone.
        let header = unsafe { task.as_ref() };
        if header.flags.is_cancelled() {
            // SAFETY: the caller's promise.
            return unsafe { Header::abandon(task) };
        }
        header.state.set(TaskState::Running);
        // SAFETY: the executor's table has a reference while this borrows it.
        let waker = ManuallyDrop::new(unsafe { waker(task) });
        let mut context = Context::from_waker(&waker);
        // SAFETY: this is the loop's thread, and the task is not being polled: it was idle or
        // queued.
        let mut poll = || unsafe { (header.vtable.poll)(task, &mut context) };
        let has_ended = if header.shared.is_foreign() {
            // SAFETY: this is the loop's thread.
            unsafe { header.shared.within(poll) }
        } else {
            poll()
        };
        let was_woken = header.state.replace(TaskState::Idle) == TaskState::RunningWoken;
        // SAFETY: the caller's promise.
        unsafe {
            match has_ended {
                true => Header::end(task),
                false if was_woken => Header::requeue(task),
                false => {}
            }
        }
    }

    /// Drops the future.
    ///
    /// # Safety
    /// This is the loop's thread. The task is not being polled, and there is no [`Queued`].
    unsafe fn abandon(task: NonNull<Header>) {
        // SAFETY: the executor's table has a reference until the future is gone.
        let header = unsafe { task.as_ref() };
        // Whatever the future wakes while it is dropped, it does not queue itself.
        header.state.set(TaskState::Ended);
        // SAFETY: the caller's promise.
        unsafe {
            header.shared.within(|| (header.vtable.clear)(task));
            Header::end(task);
        }
    }

    /// The future is gone, and nothing queued.
    ///
    /// # Safety
    /// This is the loop's thread. A caller without a reference must not use the task afterwards.
    unsafe fn end(task: NonNull<Header>) {
        // SAFETY: the executor's table has a reference until it is released.
        let header = unsafe { task.as_ref() };
        header.state.set(TaskState::Ended);
        let ended = header.flags.end();
        let waiter = if ended.is_awaited { header.waiter.take() } else { None };
        // SAFETY: what is not awaited is ours to drop; what is not under way needs the table's
        // reference no more.
        unsafe {
            if !ended.is_awaited {
                header.shared.within(|| (header.vtable.clear)(task));
            }
            if !ended.is_under_way {
                Header::leave_table(task);
            }
        }
        // The waker may be foreign.
        contain(|| waiter.into_iter().for_each(Waker::wake));
    }

    /// Gives up the table's reference.
    ///
    /// # Safety
    /// The future is gone, and nothing is queued or under way.
    unsafe fn leave_table(task: NonNull<Header>) {
        // SAFETY: there is the table's reference.
        let header = unsafe { task.as_ref() };
        let reference = header.shared.forget_task(header.key);
        drop(reference);
    }

    /// Gives up a reference.
    ///
    /// # Safety
    /// There is one, and it is not used again.
    unsafe fn release(task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let header = unsafe { task.as_ref() };
        if header.references.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: it was the last one.
            unsafe { (header.vtable.free)(task) };
        }
    }
}

/// A task in the loop's queue. If it is run, the task is polled; if it is dropped, the task is
/// cancelled. There is at most one, and it stays on the loop's thread.
#[derive(Debug)]
pub(in crate::task) struct Queued(NonNull<Header>);

impl Drop for Queued {
    fn drop(&mut self) {
        // SAFETY: made by the loop's thread, where it stays.
        unsafe { Header::abandon(self.0) };
    }
}

// SAFETY: the pointer to the task.
unsafe impl Work for Queued {
    fn into_raw(self) -> *mut () {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    unsafe fn from_raw(raw: *mut ()) -> Queued {
        // SAFETY: the caller's promise: it was not null.
        Queued(unsafe { NonNull::new_unchecked(raw.cast()) })
    }

    fn run(self) {
        let task = ManuallyDrop::new(self).0;
        // SAFETY: made by the loop's thread, where it stays.
        unsafe { Header::run(task) };
    }
}

/// A task on its way from another thread. The loop's thread runs or drops it; then the task is
/// polled or cancelled there.
#[derive(Debug)]
pub(in crate::task) struct Sent(NonNull<Header>);

// SAFETY: it is sent to the loop's thread, and does nothing anywhere else.
unsafe impl Send for Sent {}

impl Sent {
    /// Calls `then` with the task, if the task waits to be woken.
    ///
    /// # Safety
    /// This is the loop's thread, what was sent is not used again, and `then` demands no more than
    /// that.
    unsafe fn arrive(task: NonNull<Header>, then: unsafe fn(NonNull<Header>)) {
        // SAFETY: the executor's table has a reference while something is under way.
        let header = unsafe { task.as_ref() };
        let is_alive = header.flags.arrive();
        match header.state.get() {
            // SAFETY: the caller's promise; the task is idle.
            TaskState::Idle => unsafe { then(task) },
            TaskState::Running => header.state.set(TaskState::RunningWoken),
            // SAFETY: the future has gone before, and this was under way.
            TaskState::Ended if !is_alive => unsafe { Header::leave_table(task) },
            // A queued task will see what the wake was about. If the task has ended and is still
            // alive, its future is just being dropped.
            TaskState::Queued | TaskState::RunningWoken | TaskState::Ended => {}
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // SAFETY: nobody but the loop's thread drops what was sent; see `Executor::close`.
        unsafe { Sent::arrive(self.0, Header::abandon) };
    }
}

// SAFETY: the pointer to the task.
unsafe impl Work for Sent {
    fn into_raw(self) -> *mut () {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    unsafe fn from_raw(raw: *mut ()) -> Sent {
        // SAFETY: the caller's promise: it was not null.
        Sent(unsafe { NonNull::new_unchecked(raw.cast()) })
    }

    fn run(self) {
        let task = ManuallyDrop::new(self).0;
        // SAFETY: nobody but the loop's thread runs what was sent.
        unsafe { Sent::arrive(task, Header::run) };
    }
}

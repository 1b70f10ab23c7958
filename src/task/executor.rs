//! Tasks: futures that the loop polls whenever they are woken, and which it drops when it is closed.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use async_task::Builder;
use slab::Slab;

use super::current::{self, Entered};
use super::job::Job;
use super::join::JoinHandle;
use super::scheduler::{Scheduler, Sender};
use crate::core::{Direction, Fd};

/// The executor of one loop, on the loop's thread.
pub(crate) struct Executor {
    scheduler: Rc<dyn Scheduler>,
    shared: Arc<Shared>,
    next: Cell<Next>,
    /// Nothing runs any more: what is woken is sent, to be dropped by [`close`](Executor::close).
    is_closed: Cell<bool>,
}

/// What becomes of a task that is woken.
#[derive(Default)]
enum Next {
    /// It is queued.
    #[default]
    Queue,
    /// It is run at once: an item of the loop's only wakes it.
    Run,
    /// This one will be.
    Task(Runnable),
}

/// A task that is to be polled.
pub(crate) type Runnable = async_task::Runnable<Member>;

/// What a task knows of its executor. It lies in the task itself: a wake needs no other reference.
#[derive(Debug)]
pub(crate) struct Member {
    shared: Arc<Shared>,
    /// Its place in the table.
    key: usize,
}

/// The executor as other threads see it.
pub(crate) struct Shared {
    /// The executor, for its own thread; null when it is gone.
    home: AtomicPtr<Executor>,
    /// Whether the loop's turns are another module's, which cannot make this the current executor.
    is_foreign: bool,
    sender: Arc<dyn Sender>,
    tasks: Mutex<Tasks>,
}

/// The tasks whose futures are still there.
#[derive(Default)]
struct Tasks {
    wakers: Slab<Waker>,
    is_closed: bool,
}

impl Executor {
    pub(crate) fn new(scheduler: Rc<dyn Scheduler>, sender: Arc<dyn Sender>) -> Rc<Executor> {
        let (home, is_foreign) = (AtomicPtr::default(), scheduler.is_foreign());
        let shared = Arc::new(Shared { home, is_foreign, sender, tasks: Mutex::default() });
        let executor = Rc::new(Executor { scheduler, shared, next: Cell::default(), is_closed: Cell::new(false) });
        executor.shared.home.store(Rc::as_ptr(&executor).cast_mut(), Ordering::Relaxed);
        executor
    }

    /// Makes this the current executor, unless it is.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        if current::is_current(|executor| ptr::eq(executor, &**self)) {
            Entered::default()
        } else {
            current::enter(Rc::clone(self))
        }
    }

    /// Calls `run` as everything of a task's is called: with this as the current executor, and surrounded as the scheduler wants it.
    pub(crate) fn within<R>(self: &Rc<Self>, run: impl FnOnce() -> R) -> R {
        if current::is_current(|executor| ptr::eq(executor, &**self)) {
            return run();
        }
        let _entered = current::enter(Rc::clone(self));
        let (mut run, mut result) = (Some(run), None);
        self.scheduler.surround(&mut || result = run.take().map(|run| run()));
        match result {
            Some(result) => result,
            None => unreachable!("a scheduler calls what it surrounds"),
        }
    }

    pub(crate) fn scheduler(&self) -> &dyn Scheduler {
        &*self.scheduler
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes a task of a future that stays on this thread.
    pub(crate) fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        // SAFETY: the task is scheduled on this executor's thread only, and when that closes it waits for every future to go.
        let (runnable, handle) = unsafe { self.shared.make_task(future) };
        if let Some(runnable) = runnable {
            self.schedule(runnable);
        }
        handle
    }

    /// Wakes, and runs the task that is woken by it without a detour through the queue: for an item of the loop's that does nothing
    /// else.
    pub(crate) fn wake_and_run(self: &Rc<Self>, waker: &Waker) {
        self.run_woken(|| waker.wake_by_ref());
    }

    /// Calls `wake`, and runs the task that is woken by it, as [`wake_and_run`](Executor::wake_and_run).
    pub(crate) fn run_woken(self: &Rc<Self>, wake: impl FnOnce()) {
        self.within(|| {
            let before = self.next.replace(Next::Run);
            // A panic of a waker that is not ours is the business of who called us; what it woke has its turn all the same.
            let woken = catch_unwind(AssertUnwindSafe(wake));
            if let Next::Task(runnable) = self.next.replace(before) {
                runnable.run();
            }
            woken.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    /// No task is made from now on. To be called before the loop is closed.
    pub(crate) fn begin_close(&self) {
        self.is_closed.set(true);
        self.shared.refuse_tasks();
    }

    /// Runs `job` again and again while `fd` is ready for `direction`. A job that did so before runs once more, in the next batch, so
    /// that whoever waits for it knows.
    pub(crate) fn watch(&self, fd: Fd, direction: Direction, job: Job) -> io::Result<()> {
        if self.is_closed.get() {
            return Err(io::Error::other("the event loop is closed"));
        }
        if let Some(replaced) = self.scheduler.watch(fd, direction, job)? {
            self.scheduler.call_soon(replaced);
        }
        Ok(())
    }

    /// Drops every task. The loop is closed, and has dropped what it had scheduled.
    pub(crate) fn close(&self) {
        self.begin_close();
        self.shared.wakers().iter().for_each(Waker::wake_by_ref);
        loop {
            self.scheduler.discard_sent();
            if self.shared.lock().wakers.is_empty() {
                return;
            }
            // Another thread has woken a task and is about to send it.
            thread::yield_now();
        }
    }

    fn schedule(&self, runnable: Runnable) {
        match self.next.take() {
            _ if self.is_closed.get() => self.shared.sender.send(Job::sent(runnable)),
            Next::Queue => self.scheduler.call_soon(Job::sent(runnable)),
            Next::Run => self.next.set(Next::Task(runnable)),
            Next::Task(first) => {
                self.next.set(Next::Task(first));
                self.scheduler.call_soon(Job::sent(runnable));
            }
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.home.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

impl Shared {
    /// As [`Executor::within`], on the loop's thread.
    ///
    /// # Safety
    /// This is the loop's thread.
    pub(crate) unsafe fn within<R>(&self, run: impl FnOnce() -> R) -> R {
        if current::is_current(|executor| ptr::eq(&*executor.shared, self)) {
            return run();
        }
        let home = self.home.load(Ordering::Relaxed).cast_const();
        if home.is_null() {
            return run();
        }
        // SAFETY: the executor is dropped by this thread, which says so here when it does.
        let executor = unsafe {
            Rc::increment_strong_count(home);
            Rc::from_raw(home)
        };
        executor.within(run)
    }

    /// Makes a task, from any thread. The caller schedules it.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        // SAFETY: the future is `Send`.
        let (runnable, handle) = unsafe { self.make_task(future) };
        if let Some(runnable) = runnable {
            schedule(runnable);
        }
        handle
    }

    /// Sends a job from any thread.
    pub(crate) fn send(&self, job: Job) {
        self.sender.send(job);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The task of a future; `None` and a handle of a cancelled one if the loop is closed.
    ///
    /// # Safety
    /// If the future is not `Send`, this is the loop's thread.
    unsafe fn make_task<F: Future<Output: 'static> + 'static>(
        self: &Arc<Self>,
        future: F,
    ) -> (Option<Runnable>, JoinHandle<F::Output>) {
        let mut tasks = self.lock();
        if tasks.is_closed {
            drop(tasks);
            return (None, JoinHandle::cancelled());
        }
        let entry = tasks.wakers.vacant_entry();
        let builder = Builder::new().metadata(Member { shared: Arc::clone(self), key: entry.key() });
        let guarded = |member| Guarded { future: ManuallyDrop::new(future), place: Place(member) };
        // SAFETY: a future that is not `Send` is run and dropped by the loop's thread: that alone takes out of the queue, and when
        // it closes the loop it goes on until every task that waits there or is about to be sent has dropped its future. The rest
        // is `Send`, `Sync` and `'static`; what the place borrows lies in the task, which outlives its future.
        let (runnable, task) = unsafe { builder.spawn_unchecked(guarded, schedule) };
        entry.insert(runnable.waker());
        (Some(runnable), JoinHandle::new(task))
    }

    fn refuse_tasks(&self) {
        self.lock().is_closed = true;
    }

    fn wakers(&self) -> Vec<Waker> {
        self.lock().wakers.iter().map(|(_, waker)| waker.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Nothing that can panic runs under the lock but an allocation; the table is whole either way.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Queues a task that was woken, on any thread.
fn schedule(runnable: Runnable) {
    let shared = &runnable.metadata().shared;
    match current::current() {
        Some(executor) if Arc::ptr_eq(&executor.shared, shared) => executor.schedule(runnable),
        _ => {
            // Once it is sent, the task may be gone, and the loop with it.
            let sender = Arc::clone(&shared.sender);
            sender.send(Job::sent(runnable));
        }
    }
}

/// A task's place in the table, given up when its future is dropped.
struct Place<'t>(&'t Member);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waker = self.0.shared.lock().wakers.try_remove(self.0.key);
        drop(waker);
    }
}

/// A future whose panic is its outcome. The place is given up after the future is dropped.
struct Guarded<'t, F> {
    future: ManuallyDrop<F>,
    place: Place<'t>,
}

impl<F: Future> Future for Guarded<'_, F> {
    type Output = thread::Result<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned as long as the whole is, and is not moved out of it.
        let (future, place) = unsafe {
            let guarded = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut *guarded.future), &guarded.place)
        };
        let poll = || catch_unwind(AssertUnwindSafe(|| future.poll(context)));
        let shared = &place.0.shared;
        // SAFETY: tasks are run by the loop's thread.
        let outcome = if shared.is_foreign { unsafe { shared.within(poll) } } else { poll() };
        match outcome {
            Ok(outcome) => outcome.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> Drop for Guarded<'_, F> {
    fn drop(&mut self) {
        let future = &mut self.future;
        // SAFETY: the future is dropped here and nowhere else.
        let drop_future = || unsafe { ManuallyDrop::drop(future) };
        // SAFETY: a task's future is dropped by the loop's thread.
        unsafe { self.place.0.shared.within(drop_future) };
    }
}

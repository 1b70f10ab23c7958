//! Tasks: futures that the loop polls whenever they are woken, and drops when it is closed.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;

use slab::Slab;

use super::cell::join::JoinHandle;
use super::cell::raw::{Queued, Sent, TaskRef};
use super::current::{self, Entered};
use super::foreign::job::{Job, Work};
use super::scheduler::{Scheduler, Sender};
use crate::core::{Direction, Fd};

/// The executor of one loop, on the loop's thread.
pub(crate) struct Executor {
    scheduler: Rc<dyn Scheduler>,
    shared: Arc<Shared>,
    next: Cell<Next>,
    /// Nothing is queued any more: [`close`](Executor::close) drops what waits.
    is_closed: Cell<bool>,
}

/// What is done with a task that is woken.
#[derive(Default)]
enum Next {
    /// It is queued.
    #[default]
    Queue,
    /// It is run at once: the loop's item does nothing but wake it.
    Run,
    /// This task will be run at once.
    Task(Queued),
}

/// The part of the executor that other threads use.
pub(crate) struct Shared {
    /// The executor, for its own thread; null after its end.
    home: AtomicPtr<Executor>,
    /// Whether the loop's turns are another module's. That module cannot make this the current
    /// executor.
    is_foreign: bool,
    sender: Arc<dyn Sender>,
    tasks: Mutex<Tasks>,
}

/// The tasks whose futures are still there.
#[derive(Default)]
struct Tasks {
    tasks: Slab<TaskRef>,
    is_closed: bool,
}

impl Executor {
    pub(crate) fn new(scheduler: Rc<dyn Scheduler>, sender: Arc<dyn Sender>) -> Rc<Executor> {
        let (home, is_foreign) = (AtomicPtr::default(), scheduler.is_foreign());
        let shared = Arc::new(Shared { home, is_foreign, sender, tasks: Mutex::default() });
        let executor = Rc::new(Executor {
            scheduler,
            shared,
            next: Cell::default(),
            is_closed: Cell::new(false),
        });
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

    /// Calls `run` in the way in which all code of a task is called: with this as the current
    /// executor, and surrounded as the scheduler demands.
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
    pub(crate) fn spawn<F: Future<Output: 'static> + 'static>(
        &self,
        future: F,
    ) -> JoinHandle<F::Output> {
        // SAFETY: an executor does not leave its loop's thread.
        let handle = unsafe { self.shared.make_task(future) };
        if let Some(task) = handle.task() {
            // SAFETY: the task is this executor's, and new.
            unsafe { task.queue(self) };
        }
        handle
    }

    /// Wakes, and runs the task that is woken by that, without a detour through the queue. For an
    /// item of the loop that does nothing else.
    pub(crate) fn wake_and_run(self: &Rc<Self>, waker: &Waker) {
        self.run_woken(|| waker.wake_by_ref());
    }

    /// Calls `wake`, and runs the task that is woken by it, as
    /// [`wake_and_run`](Executor::wake_and_run).
    pub(crate) fn run_woken(self: &Rc<Self>, wake: impl FnOnce()) {
        self.within(|| {
            let before = self.next.replace(Next::Run);
            // A foreign waker may panic. That concerns the caller; the task that it woke has its
            // turn nevertheless.
            let woken = catch_unwind(AssertUnwindSafe(wake));
            if let Next::Task(task) = self.next.replace(before) {
                task.run();
            }
            woken.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }

    /// From now on no task can be made. Call it before the loop is closed.
    pub(crate) fn begin_close(&self) {
        self.is_closed.set(true);
        self.shared.refuse_tasks();
    }

    /// Runs `job` again and again while `fd` is ready for `direction`. A job that did so before is
    /// run once more, in the next batch, so that its watcher learns of the change.
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
        loop {
            // SAFETY: an executor does not leave its loop's thread.
            self.shared.tasks().iter().for_each(|task| unsafe { task.abandon() });
            self.scheduler.discard_sent();
            if self.shared.lock().tasks.is_empty() {
                return;
            }
            // Another thread has woken a task and is about to send it.
            thread::yield_now();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Whether `shared` is that of this thread's current executor.
    pub(super) fn current_is(shared: &Shared) -> bool {
        current::is_current(|executor| ptr::eq(&*executor.shared, shared))
    }

    /// Puts a task into the loop's queue, or notes it for the item that waits for it to be woken.
    pub(super) fn schedule(&self, task: Queued) {
        match self.next.take() {
            Next::Queue => self.scheduler.call_soon(Job::local(task)),
            Next::Run => self.next.set(Next::Task(task)),
            Next::Task(first) => {
                self.next.set(Next::Task(first));
                self.scheduler.call_soon(Job::local(task));
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
    /// The executor, if it still exists.
    ///
    /// # Safety
    /// This is the loop's thread.
    pub(super) unsafe fn home(&self) -> Option<Rc<Executor>> {
        let home = self.home.load(Ordering::Relaxed).cast_const();
        if home.is_null() {
            return None;
        }
        // SAFETY: the executor is dropped by this thread, which says so here when it does.
        unsafe {
            Rc::increment_strong_count(home);
            Some(Rc::from_raw(home))
        }
    }

    /// As [`Executor::within`], on the loop's thread.
    ///
    /// # Safety
    /// This is the loop's thread.
    pub(crate) unsafe fn within<R>(&self, run: impl FnOnce() -> R) -> R {
        if Executor::current_is(self) {
            return run();
        }
        // SAFETY: the caller's promise.
        match unsafe { self.home() } {
            Some(executor) => executor.within(run),
            None => run(),
        }
    }

    /// Whether the loop's turns are another module's. That module cannot make this the current
    /// executor.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Makes a task, from any thread.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        // SAFETY: the future is `Send`.
        let handle = unsafe { self.make_task(future) };
        handle.task().into_iter().for_each(TaskRef::wake);
        handle
    }

    /// Sends a task that was woken.
    pub(super) fn send_task(&self, task: Sent) {
        self.sender.send(Job::sent(task));
    }

    /// Sends a job from any thread.
    pub(crate) fn send(&self, job: Job) {
        self.sender.send(job);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The handle of a task that nobody has woken yet; of a cancelled one if the loop is closed.
    ///
    /// # Safety
    /// If the future is not `Send`, this is the loop's thread.
    unsafe fn make_task<F: Future<Output: 'static> + 'static>(
        self: &Arc<Self>,
        future: F,
    ) -> JoinHandle<F::Output> {
        let mut tasks = self.lock();
        if tasks.is_closed {
            drop(tasks);
            return JoinHandle::cancelled();
        }
        let entry = tasks.tasks.vacant_entry();
        // SAFETY: the caller's promise.
        let task = unsafe { TaskRef::new(Arc::clone(self), entry.key(), future) };
        entry.insert(task.clone());
        // SAFETY: the output is the future's, and the handle the first.
        unsafe { JoinHandle::new(task) }
    }

    /// Takes a task out of the table.
    pub(super) fn forget_task(&self, key: usize) -> Option<TaskRef> {
        self.lock().tasks.try_remove(key)
    }

    fn refuse_tasks(&self) {
        self.lock().is_closed = true;
    }

    fn tasks(&self) -> Vec<TaskRef> {
        self.lock().tasks.iter().map(|(_, task)| task.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Only an allocation can panic under the lock. The table is whole in any case.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

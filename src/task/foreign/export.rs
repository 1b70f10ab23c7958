//! A loop for other modules: the side of a [`LoopTable`] on which the loop is.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use super::job::{Job, MaybeJob};
use super::table::{LoopTable, Recognise, VERSION, Watching, direction_from_abi};
use crate::core::{Fd, Time, TimerKey};
use crate::sys::UNKNOWN_ERROR;
use crate::task::scheduler::{Scheduler, Sender};

/// A loop that can be exported.
pub(crate) trait Exportable: Scheduler {
    /// The part of the loop that other threads use.
    fn sender(&self) -> Arc<dyn Sender>;

    /// Whether the loop is closed.
    fn is_closed(&self) -> bool;

    /// Notes which context the job under way has entered, since a nested turn must leave it.
    /// Returns what was noted before.
    fn note_entered(&self, entered: *mut c_void) -> *mut c_void;
}

/// A loop, and what other modules have left with it. Once this is made, the loop belongs to this
/// thread: the tasks of the modules cannot go to another.
pub(crate) struct Export {
    exported: Box<dyn Exportable>,
    thread: ThreadId,
    /// Jobs to be run when the loop is closed; `None` once it is closed.
    at_close: RefCell<Option<Vec<Job>>>,
}

impl Export {
    pub(crate) fn new(exported: impl Exportable + 'static) -> Rc<Export> {
        let at_close = RefCell::new(Some(Vec::new()));
        Rc::new(Export { exported: Box::new(exported), thread: thread::current().id(), at_close })
    }

    /// Whether this is the thread that the loop belongs to.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// The loop is closed, and has dropped what it had scheduled. Lets every module drop its tasks.
    /// Returns whether that could be done: another thread must not drop them, so there they are
    /// leaked.
    pub(crate) fn close(&self) -> bool {
        let jobs = self.at_close.take().unwrap_or_default();
        if self.is_here() {
            jobs.into_iter().for_each(Job::run);
            return true;
        }
        let is_clean = jobs.is_empty();
        jobs.into_iter().for_each(mem::forget);
        is_clean
    }

    /// # Safety
    /// `data` comes from [`ExportedTable::new`], and there is a reference to that loop's `Export`
    /// until the returned one has gone.
    unsafe fn behind<'a>(data: *const c_void) -> &'a Export {
        // SAFETY: the caller's promise.
        unsafe { &*data.cast::<Export>() }
    }
}

/// A table and the loop that it is for: what a capsule holds. The table comes first.
#[repr(C)]
pub(crate) struct ExportedTable {
    table: LoopTable,
    _export: Rc<Export>,
}

impl ExportedTable {
    pub(crate) fn new(export: Rc<Export>) -> ExportedTable {
        let table = LoopTable {
            version: VERSION,
            data: Rc::as_ptr(&export).cast(),
            is_closed,
            now,
            call_soon,
            call_at,
            cancel,
            watch,
            is_watched_by,
            unwatch,
            stop,
            discard_sent,
            at_close,
            note_entered,
            remote,
            send,
            drop_remote,
        };
        ExportedTable { table, _export: export }
    }
}

// The functions of the table. `Export::behind` demands what the table demands of its callers.

unsafe extern "C" fn is_closed(data: *const c_void) -> bool {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.is_closed()
}

unsafe extern "C" fn now(data: *const c_void) -> u64 {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.now().as_nanos()
}

unsafe extern "C" fn call_soon(data: *const c_void, job: Job) {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.call_soon(job);
}

unsafe extern "C" fn call_at(data: *const c_void, nanoseconds: u64, job: Job) -> TimerKey {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.call_at(Time::from_nanos(nanoseconds), job)
}

unsafe extern "C" fn cancel(data: *const c_void, key: TimerKey) -> MaybeJob {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.cancel(key).into()
}

unsafe extern "C" fn watch(data: *const c_void, fd: Fd, direction: u32, job: Job) -> Watching {
    // SAFETY: the table's contract.
    let watched =
        unsafe { Export::behind(data) }.exported.watch(fd, direction_from_abi(direction), job);
    match watched {
        Ok(replaced) => Watching { error: 0, replaced: replaced.into() },
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(UNKNOWN_ERROR.raw_os_error());
            Watching { error: number, replaced: None.into() }
        }
    }
}

unsafe extern "C" fn is_watched_by(
    data: *const c_void,
    fd: Fd,
    direction: u32,
    recognise: Recognise,
    context: *const c_void,
) -> bool {
    // SAFETY: `context` is the one for `recognise`.
    let is_it = |job: &Job| unsafe { recognise(context, job) };
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.is_watched_by(
        fd,
        direction_from_abi(direction),
        &is_it,
    )
}

unsafe extern "C" fn unwatch(
    data: *const c_void,
    fd: Fd,
    direction: u32,
    recognise: Recognise,
    context: *const c_void,
) -> MaybeJob {
    // SAFETY: `context` is the one for `recognise`.
    let is_it = |job: &Job| unsafe { recognise(context, job) };
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }
        .exported
        .unwatch(fd, direction_from_abi(direction), &is_it)
        .into()
}

unsafe extern "C" fn stop(data: *const c_void) {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.stop();
}

unsafe extern "C" fn discard_sent(data: *const c_void) {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.discard_sent();
}

unsafe extern "C" fn at_close(data: *const c_void, job: Job) {
    // SAFETY: the table's contract.
    let export = unsafe { Export::behind(data) };
    if let Some(jobs) = &mut *export.at_close.borrow_mut() {
        return jobs.push(job);
    }
    job.run();
}

unsafe extern "C" fn note_entered(data: *const c_void, entered: *mut c_void) -> *mut c_void {
    // SAFETY: the table's contract.
    unsafe { Export::behind(data) }.exported.note_entered(entered)
}

unsafe extern "C" fn remote(data: *const c_void) -> *const c_void {
    // SAFETY: the table's contract.
    let sender: Arc<dyn Sender> = unsafe { Export::behind(data) }.exported.sender();
    Box::into_raw(Box::new(sender)).cast_const().cast()
}

unsafe extern "C" fn send(remote: *const c_void, job: Job) {
    // SAFETY: what `remote` returned, and `drop_remote` was not called with it.
    unsafe { &*remote.cast::<Arc<dyn Sender>>() }.send(job);
}

unsafe extern "C" fn drop_remote(remote: *const c_void) {
    // SAFETY: what `remote` returned, and not used again.
    drop(unsafe { Box::from_raw(remote.cast_mut().cast::<Arc<dyn Sender>>()) });
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::cell::Cell;
    use std::ops::ControlFlow;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use super::super::job::{Closure, Watcher};
    use super::super::table::{Keeper, TableScheduler};
    use rustix::io::Errno;

    use super::*;
    use crate::core::{Direction, Phase};
    use crate::driver::{Client, Driver, Strategy};
    use crate::host::Exec;
    use crate::host::sim::SimHost;
    use crate::task::executor::Executor;
    use crate::task::{sleep, spawn_local};

    struct Jobs;

    impl Client for Jobs {
        type Item = Job;
        type Suspended = ();

        fn run(&self, job: Job) -> ControlFlow<()> {
            job.run();
            ControlFlow::Continue(())
        }

        fn share(&self, job: &Job) -> Option<Job> {
            job.share()
        }
    }

    /// A driver to be exported, and how a context is noted.
    struct Loop(Rc<Driver<SimHost, Jobs>>, Cell<*mut c_void>);

    impl Scheduler for Loop {
        fn now(&self) -> Time {
            self.0.now()
        }
        fn call_soon(&self, job: Job) {
            self.0.call_soon(job);
        }
        fn call_at(&self, deadline: Time, job: Job) -> TimerKey {
            self.0.call_at(deadline, job)
        }
        fn cancel(&self, key: TimerKey) -> Option<Job> {
            self.0.cancel(key)
        }
        fn watch(&self, fd: Fd, direction: Direction, job: Job) -> std::io::Result<Option<Job>> {
            self.0.watch(fd, direction, job)
        }
        fn is_watched_by(
            &self,
            fd: Fd,
            direction: Direction,
            is_it: &dyn Fn(&Job) -> bool,
        ) -> bool {
            Scheduler::is_watched_by(&*self.0, fd, direction, is_it)
        }
        fn unwatch(
            &self,
            fd: Fd,
            direction: Direction,
            is_it: &dyn Fn(&Job) -> bool,
        ) -> Option<Job> {
            Scheduler::unwatch(&*self.0, fd, direction, is_it)
        }
        fn stop(&self) {
            self.0.set_stopping(true);
        }
        fn discard_sent(&self) {
            self.0.discard_sent();
        }
    }

    impl Exportable for Loop {
        fn sender(&self) -> Arc<dyn Sender> {
            Arc::clone(self.0.remote()) as _
        }
        fn is_closed(&self) -> bool {
            self.0.phase() == Phase::Closed
        }
        fn note_entered(&self, entered: *mut c_void) -> *mut c_void {
            self.1.replace(entered)
        }
    }

    /// What another module keeps. It counts the calls that it surrounds.
    struct Kept(#[allow(dead_code)] Rc<ExportedTable>, Rc<Cell<u32>>);

    impl Keeper for Kept {
        fn surround(&self, run: &mut dyn FnMut()) {
            self.1.update(|count| count + 1);
            run();
        }
    }

    struct Fixture {
        driver: Rc<Driver<SimHost, Jobs>>,
        export: Rc<Export>,
        scheduler: Rc<TableScheduler<Kept>>,
        surrounded: Rc<Cell<u32>>,
    }

    impl Fixture {
        fn executor(&self) -> Rc<Executor> {
            Executor::new(Rc::clone(&self.scheduler) as Rc<dyn Scheduler>, self.scheduler.sender())
        }
    }

    fn imported() -> Fixture {
        let driver = Rc::new(
            Driver::new(SimHost::scripted(), Jobs, Strategy::Notifier).expect("an fd is left"),
        );
        let export = Export::new(Loop(Rc::clone(&driver), Cell::new(std::ptr::null_mut())));
        let (exported, surrounded) =
            (Rc::new(ExportedTable::new(Rc::clone(&export))), Rc::new(Cell::new(0)));
        let kept = Kept(Rc::clone(&exported), Rc::clone(&surrounded));
        // SAFETY: a whole table, whose loop is kept, on this thread.
        let scheduler = unsafe { TableScheduler::new(&raw const exported.table, kept) };
        let scheduler = Rc::new(scheduler.unwrap_or_else(|version| panic!("version {version}")));
        Fixture { driver, export, scheduler, surrounded }
    }

    #[test]
    fn tasks_run_on_a_loop_behind_a_table() {
        let fixture = imported();
        let executor = fixture.executor();
        let Fixture { driver, export, scheduler, surrounded } = fixture;
        let loop_ = Rc::clone(&scheduler);
        let done = Rc::new(Cell::new(Duration::ZERO));
        let outcome = Rc::clone(&done);
        let main = executor.spawn(async move {
            let start = loop_.now();
            let task = spawn_local(sleep(Duration::from_secs(60)));
            assert!(task.await.is_ok());
            outcome.set(loop_.now().since(start));
            loop_.stop();
        });
        driver.run(Exec::Application).expect("the simulated host runs");
        assert_eq!(done.get(), Duration::from_secs(60));
        assert!(main.is_finished() && surrounded.get() >= 3);
        assert!(
            driver.close().is_ok_and(|scheduled| scheduled.is_empty())
                && scheduler.is_closed()
                && export.close()
        );
    }

    #[test]
    fn a_wake_of_another_thread_comes_through_the_table() {
        let fixture = imported();
        let executor = fixture.executor();
        let Fixture { driver, scheduler: loop_, .. } = &fixture;
        let (sender, loop_) = (loop_.sender(), Rc::clone(loop_));
        let (tell, told) = futures::channel::oneshot::channel();
        executor
            .spawn(async move {
                assert_eq!(told.await, Ok(7));
                loop_.stop();
            })
            .detach();
        thread::spawn(move || {
            sender.send(Job::sent(Closure(move || assert_eq!(tell.send(7), Ok(())))))
        })
        .join()
        .expect("no panic");
        driver.run(Exec::Application).expect("the simulated host runs");
        executor.begin_close();
    }

    #[test]
    fn closing_runs_what_was_left_for_it_but_not_on_another_thread() {
        let Fixture { driver, export, scheduler, .. } = imported();
        let times = Rc::new(Cell::new(0));
        let job = |times: &Rc<Cell<u32>>| {
            let times = Rc::clone(times);
            Job::local(Closure(move || times.set(times.get() + 1)))
        };
        scheduler.at_close(job(&times));
        assert!(driver.close().is_ok() && export.close());
        assert_eq!((times.get(), Rc::strong_count(&times)), (1, 1));

        let Fixture { export, scheduler, .. } = imported();
        scheduler.at_close(job(&times));
        struct There(Rc<Export>);
        // SAFETY: this thread waits for the other.
        unsafe impl Send for There {}
        let there = There(export);
        thread::scope(|scope| {
            let closed = scope.spawn(move || {
                let there = there;
                let is_clean = there.0.close();
                (is_clean, there)
            });
            assert!(closed.join().is_ok_and(|(is_clean, _)| !is_clean));
        });
        assert_eq!(
            (times.get(), Rc::strong_count(&times)),
            (1, 2),
            "leaked: neither run nor dropped"
        );
    }

    #[test]
    fn another_version_is_refused() {
        let version = 99_u32;
        // SAFETY: what is there is a version, and no more.
        let refused = unsafe { TableScheduler::new((&raw const version).cast(), Nobody) };
        assert_eq!(refused.err(), Some(99));
    }

    #[test]
    fn a_watch_is_recognised_through_the_table() {
        struct Seen(Cell<u32>);
        impl Watcher for Seen {
            fn happened(&self) {
                self.0.update(|count| count + 1);
            }
        }
        let scheduler = imported().scheduler;
        let (reader, _writer) = std::io::pipe().expect("an fd is left");
        let fd = reader.as_raw_fd();
        let (one, other) = (Rc::new(Seen(Cell::new(0))), Rc::new(Seen(Cell::new(0))));
        let is = |seen: &Rc<Seen>, watching| {
            let is_it = |job: &Job| job.is_of(&**seen);
            assert_eq!(scheduler.is_watched_by(fd, Direction::Read, &is_it), watching);
        };
        assert!(
            scheduler
                .watch(fd, Direction::Read, Job::local(Rc::clone(&one)))
                .is_ok_and(|before| before.is_none())
        );
        is(&one, true);
        is(&other, false);
        let replaced = scheduler
            .watch(fd, Direction::Read, Job::local(Rc::clone(&other)))
            .expect("the fd is open");
        replaced.expect("one watched").run();
        assert_eq!((one.0.get(), Rc::strong_count(&one)), (1, 1));
        assert!(scheduler.unwatch(fd, Direction::Read, &|job| job.is_of(&*one)).is_none());
        assert!(scheduler.unwatch(fd, Direction::Read, &|job| job.is_of(&*other)).is_some());
        is(&other, false);
        assert_eq!(Rc::strong_count(&other), 1);
        let error =
            scheduler.watch(-1, Direction::Read, Job::local(other)).expect_err("no such fd");
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }

    struct Nobody;

    impl Keeper for Nobody {
        fn surround(&self, run: &mut dyn FnMut()) {
            run();
        }
    }
}

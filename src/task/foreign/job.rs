//! What a loop runs for the executor: one word of data and a vtable, so that it can cross into
//! another module.

use std::ptr;
use std::rc::Rc;

use crate::panics::contain;

/// Work that can be a [`Job`]: one pointer stands for it.
///
/// # Safety
/// `from_raw` undoes `into_raw`.
pub(crate) unsafe trait Work: Sized + 'static {
    /// The pointer.
    fn into_raw(self) -> *mut ();

    /// The work that the pointer stands for.
    ///
    /// # Safety
    /// The pointer comes from `into_raw` and is not used again.
    unsafe fn from_raw(raw: *mut ()) -> Self;

    /// Does the work.
    fn run(self);

    /// Another pointer for the same work; null if the work can be done only once.
    ///
    /// # Safety
    /// The pointer comes from `into_raw`, and `from_raw` was not called with it.
    unsafe fn share(_raw: *mut ()) -> *mut () {
        ptr::null_mut()
    }
}

/// Work for the loop's thread to do once. If it is dropped, it is never done.
#[repr(C)]
#[derive(Debug)]
pub struct Job {
    data: *mut (),
    vtable: &'static JobVTable,
}

/// What is done with a job's data.
#[repr(C)]
#[derive(Debug)]
struct JobVTable {
    run: unsafe extern "C" fn(*mut ()),
    drop: unsafe extern "C" fn(*mut ()),
    /// Another reference to the data; null if there can be none.
    share: unsafe extern "C" fn(*mut ()) -> *mut (),
}

// SAFETY: what is not `Send` becomes a job by `Job::local`, which only the loop's thread calls, and
// it is given to the loop by a `Scheduler`, which stays on that thread; there the loop runs or
// drops it. What another thread sends comes from `Job::sent`.
unsafe impl Send for Job {}

impl Job {
    /// A job made by the loop's thread, to be scheduled there.
    pub(crate) fn local<W: Work>(work: W) -> Job {
        Job { data: work.into_raw(), vtable: VTableOf::<W>::VTABLE }
    }

    /// A job that any thread may send.
    pub(crate) fn sent<W: Work + Send>(work: W) -> Job {
        Job::local(work)
    }

    /// Does the work. A panic ends here: the panic hook has reported it.
    pub fn run(self) {
        let job = std::mem::ManuallyDrop::new(self);
        // SAFETY: `data` is what the vtable is for, and is used up.
        unsafe { (job.vtable.run)(job.data) }
    }

    /// Another reference, if the work can be done more than once.
    pub fn share(&self) -> Option<Job> {
        // SAFETY: `data` is what the vtable is for.
        let data = unsafe { (self.vtable.share)(self.data) };
        (!data.is_null()).then(|| Job { data, vtable: self.vtable })
    }

    /// Whether this is a reference to `watcher`.
    pub(crate) fn is_of<W: Watcher>(&self, watcher: &W) -> bool {
        ptr::eq(self.data.cast_const().cast(), watcher)
    }
}

/// A job or none, in the layout of C.
#[repr(C)]
pub struct MaybeJob {
    data: *mut (),
    vtable: Option<&'static JobVTable>,
}

impl From<Option<Job>> for MaybeJob {
    fn from(job: Option<Job>) -> MaybeJob {
        match job.map(std::mem::ManuallyDrop::new) {
            Some(job) => MaybeJob { data: job.data, vtable: Some(job.vtable) },
            None => MaybeJob { data: ptr::null_mut(), vtable: None },
        }
    }
}

impl From<MaybeJob> for Option<Job> {
    fn from(job: MaybeJob) -> Option<Job> {
        job.vtable.map(|vtable| Job { data: job.data, vtable })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: `data` is what the vtable is for, and is used up.
        unsafe { (self.vtable.drop)(self.data) }
    }
}

/// The functions for a kind of work.
struct VTableOf<W>(W);

impl<W: Work> VTableOf<W> {
    const VTABLE: &'static JobVTable =
        &JobVTable { run: Self::run, drop: Self::drop, share: Self::share };

    unsafe extern "C" fn run(data: *mut ()) {
        // SAFETY: the caller's promise.
        let work = unsafe { W::from_raw(data) };
        // It must not unwind into the host.
        contain(|| work.run());
    }

    unsafe extern "C" fn drop(data: *mut ()) {
        // SAFETY: the caller's promise.
        let work = unsafe { W::from_raw(data) };
        contain(|| drop(work));
    }

    unsafe extern "C" fn share(data: *mut ()) -> *mut () {
        // SAFETY: the caller's promise.
        unsafe { W::share(data) }
    }
}

/// A function to call.
pub(crate) struct Closure<F>(pub F);

// SAFETY: a box and its pointer.
unsafe impl<F: FnOnce() + 'static> Work for Closure<F> {
    fn into_raw(self) -> *mut () {
        Box::into_raw(Box::new(self)).cast()
    }

    unsafe fn from_raw(raw: *mut ()) -> Closure<F> {
        // SAFETY: the caller's promise.
        *unsafe { Box::from_raw(raw.cast()) }
    }

    fn run(self) {
        (self.0)();
    }
}

/// A watcher, which is told again and again about what it waits for: a timer, a file descriptor.
pub(crate) trait Watcher: 'static {
    /// What the watcher waits for has happened.
    fn happened(&self);
}

// SAFETY: a counted reference and its pointer.
unsafe impl<W: Watcher> Work for Rc<W> {
    fn into_raw(self) -> *mut () {
        Rc::into_raw(self).cast_mut().cast()
    }

    unsafe fn from_raw(raw: *mut ()) -> Rc<W> {
        // SAFETY: the caller's promise.
        unsafe { Rc::from_raw(raw.cast_const().cast()) }
    }

    fn run(self) {
        self.happened();
    }

    unsafe fn share(raw: *mut ()) -> *mut () {
        // SAFETY: the caller's promise: there is a reference, and it stays.
        unsafe { Rc::increment_strong_count(raw.cast_const().cast::<W>()) };
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[derive(Default)]
    struct Count(Cell<u32>);

    impl Watcher for Count {
        fn happened(&self) {
            self.0.update(|count| count + 1);
        }
    }

    #[test]
    fn a_job_is_run_or_dropped_once() {
        let alive = Rc::new(());
        let times = Rc::new(Cell::new(0));
        let call = || {
            let (alive, times) = (Rc::clone(&alive), Rc::clone(&times));
            Job::local(Closure(move || {
                times.set(times.get() + 1);
                drop(alive);
            }))
        };
        assert!(call().share().is_none());
        assert_eq!((times.get(), Rc::strong_count(&alive)), (0, 1));
        call().run();
        assert_eq!((times.get(), Rc::strong_count(&alive)), (1, 1));
    }

    #[test]
    fn a_watcher_is_shared() {
        let count = Rc::new(Count::default());
        let job = Job::local(Rc::clone(&count));
        assert!(job.is_of(&*count) && !job.is_of(&Count::default()));
        job.share().into_iter().for_each(Job::run);
        job.run();
        assert_eq!((count.0.get(), Rc::strong_count(&count)), (2, 1));
    }

    #[test]
    fn a_panic_ends_in_the_job() {
        Job::local(Closure(|| panic!("reported by the panic hook"))).run();
    }
}

//! A loop in another module, reached through a table of C functions.
//!
//! A Python extension is a shared object with its own copy of this crate: other types, other
//! statics, perhaps another compiler. It shares only this table and [`Job`] with the module that
//! has the loop. Both have the layout of C. The module with the loop hands the table over in a
//! PyCapsule named [`CAPSULE`]; `export` is its side.

use std::ffi::{CStr, c_void};
use std::io;
use std::sync::Arc;

use super::job::{Job, MaybeJob};
use crate::core::{Direction, Fd, Interest, Time, TimerKey};
use crate::task::scheduler::{Scheduler, Sender};

/// The capsule's name. The version is in the table and not in the name, so that the user can be
/// told of two versions that differ.
pub const CAPSULE: &CStr = c"qtloop.LoopTable";

/// The version of the table that this crate knows.
pub const VERSION: u32 = 1;

/// Whether the job is the one that is looked for.
pub type Recognise = unsafe extern "C" fn(context: *const c_void, job: &Job) -> bool;

/// How [`LoopTable::watch`] ended.
#[repr(C)]
pub struct Watching {
    /// The operating system's number of the error; 0 if there was none.
    pub(in crate::task) error: i32,
    /// The job that watched before.
    pub(in crate::task) replaced: MaybeJob,
}

/// A loop's functions. They understand `data`. All of them but `send` and `drop_remote` are for the
/// loop's thread only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LoopTable {
    /// [`VERSION`]. A reader that knows only other versions must read no further.
    pub(in crate::task) version: u32,
    pub(in crate::task) data: *const c_void,
    pub(in crate::task) is_closed: unsafe extern "C" fn(data: *const c_void) -> bool,
    /// In nanoseconds.
    pub(in crate::task) now: unsafe extern "C" fn(data: *const c_void) -> u64,
    pub(in crate::task) call_soon: unsafe extern "C" fn(data: *const c_void, job: Job),
    pub(in crate::task) call_at:
        unsafe extern "C" fn(data: *const c_void, nanoseconds: u64, job: Job) -> TimerKey,
    pub(in crate::task) cancel:
        unsafe extern "C" fn(data: *const c_void, key: TimerKey) -> MaybeJob,
    /// `direction` as in [`Interest::to_abi`].
    pub(in crate::task) watch:
        unsafe extern "C" fn(data: *const c_void, fd: Fd, direction: u32, job: Job) -> Watching,
    pub(in crate::task) is_watched_by: unsafe extern "C" fn(
        data: *const c_void,
        fd: Fd,
        direction: u32,
        Recognise,
        context: *const c_void,
    ) -> bool,
    pub(in crate::task) unwatch: unsafe extern "C" fn(
        data: *const c_void,
        fd: Fd,
        direction: u32,
        Recognise,
        context: *const c_void,
    ) -> MaybeJob,
    pub(in crate::task) stop: unsafe extern "C" fn(data: *const c_void),
    pub(in crate::task) discard_sent: unsafe extern "C" fn(data: *const c_void),
    /// Runs the job after the loop was closed and has dropped what it had scheduled.
    pub(in crate::task) at_close: unsafe extern "C" fn(data: *const c_void, job: Job),
    /// Notes which context the job under way has entered, since a nested turn must leave it.
    /// Returns what was noted before.
    pub(in crate::task) note_entered:
        unsafe extern "C" fn(data: *const c_void, entered: *mut c_void) -> *mut c_void,
    /// A reference for `send`, which outlives the loop.
    pub(in crate::task) remote: unsafe extern "C" fn(data: *const c_void) -> *const c_void,
    /// From any thread.
    pub(in crate::task) send: unsafe extern "C" fn(remote: *const c_void, job: Job),
    /// From any thread.
    pub(in crate::task) drop_remote: unsafe extern "C" fn(remote: *const c_void),
}

/// The number of a direction.
pub(in crate::task) fn direction_to_abi(direction: Direction) -> u32 {
    Interest::from(direction).to_abi()
}

/// The direction behind a number.
pub(in crate::task) fn direction_from_abi(number: u32) -> Direction {
    if Interest::from_abi(number).has(Direction::Read) { Direction::Read } else { Direction::Write }
}

/// Keeps the loop of a table alive, and surrounds the calls of its tasks.
pub(crate) trait Keeper: 'static {
    /// As [`Scheduler::surround`].
    fn surround(&self, run: &mut dyn FnMut());
}

/// The loop behind a table.
pub(crate) struct TableScheduler<K> {
    table: LoopTable,
    keeper: K,
}

impl<K: Keeper> TableScheduler<K> {
    /// The loop behind `table`, unless that has another version, which is returned then.
    ///
    /// # Safety
    /// `table` points to the version of a table, and to a whole table if that is [`VERSION`]; its
    /// functions do what they say for as long as there is `keeper`. This is the loop's thread.
    pub(crate) unsafe fn new(table: *const LoopTable, keeper: K) -> Result<TableScheduler<K>, u32> {
        // SAFETY: the caller's promise: nothing but the version is read.
        let version = unsafe { (&raw const (*table).version).read() };
        if version != VERSION {
            return Err(version);
        }
        // SAFETY: the caller's promise.
        Ok(TableScheduler { table: unsafe { *table }, keeper })
    }

    /// The part of the loop that other threads use.
    pub(crate) fn sender(&self) -> Arc<dyn Sender> {
        // SAFETY: this is the loop's thread, and the keeper keeps it.
        let remote = unsafe { (self.table.remote)(self.table.data) };
        Arc::new(TableSender { send: self.table.send, drop: self.table.drop_remote, remote })
    }

    /// Whether the loop is closed.
    pub(crate) fn is_closed(&self) -> bool {
        // SAFETY: this is the loop's thread, and the keeper keeps it.
        unsafe { (self.table.is_closed)(self.table.data) }
    }

    /// Runs `job` after the loop was closed and has dropped what it had scheduled.
    pub(crate) fn at_close(&self, job: Job) {
        // SAFETY: as in `is_closed`.
        unsafe { (self.table.at_close)(self.table.data, job) }
    }

    /// Notes which context the job under way has entered, since a nested turn must leave it.
    /// Returns what was noted before.
    pub(crate) fn note_entered(&self, entered: *mut c_void) -> *mut c_void {
        // SAFETY: as in `is_closed`.
        unsafe { (self.table.note_entered)(self.table.data, entered) }
    }
}

impl<K: Keeper> Scheduler for TableScheduler<K> {
    fn now(&self) -> Time {
        // SAFETY: this is the loop's thread, and the keeper keeps it. So in all that follow.
        Time::from_nanos(unsafe { (self.table.now)(self.table.data) })
    }

    fn call_soon(&self, job: Job) {
        // SAFETY: as above.
        unsafe { (self.table.call_soon)(self.table.data, job) }
    }

    fn call_at(&self, deadline: Time, job: Job) -> TimerKey {
        // SAFETY: as above.
        unsafe { (self.table.call_at)(self.table.data, deadline.as_nanos(), job) }
    }

    fn cancel(&self, key: TimerKey) -> Option<Job> {
        // SAFETY: as above.
        unsafe { (self.table.cancel)(self.table.data, key) }.into()
    }

    fn watch(&self, fd: Fd, direction: Direction, job: Job) -> io::Result<Option<Job>> {
        // SAFETY: as above.
        let watching =
            unsafe { (self.table.watch)(self.table.data, fd, direction_to_abi(direction), job) };
        match watching.error {
            0 => Ok(watching.replaced.into()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }

    fn is_watched_by(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> bool {
        let (direction, context) = (direction_to_abi(direction), (&raw const is_it).cast());
        // SAFETY: as above; `context` is what `recognise` wants, and stays until the call ends.
        unsafe { (self.table.is_watched_by)(self.table.data, fd, direction, recognise, context) }
    }

    fn unwatch(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> Option<Job> {
        let (direction, context) = (direction_to_abi(direction), (&raw const is_it).cast());
        // SAFETY: as above; `context` is what `recognise` wants, and stays until the call ends.
        unsafe { (self.table.unwatch)(self.table.data, fd, direction, recognise, context) }.into()
    }

    fn stop(&self) {
        // SAFETY: as above.
        unsafe { (self.table.stop)(self.table.data) }
    }

    fn discard_sent(&self) {
        // SAFETY: as above.
        unsafe { (self.table.discard_sent)(self.table.data) }
    }

    fn is_foreign(&self) -> bool {
        true
    }

    fn surround(&self, run: &mut dyn FnMut()) {
        self.keeper.surround(run);
    }
}

/// # Safety
/// `context` points to a `&dyn Fn(&Job) -> bool`.
unsafe extern "C" fn recognise(context: *const c_void, job: &Job) -> bool {
    // SAFETY: the caller's promise.
    let is_it = unsafe { *context.cast::<&dyn Fn(&Job) -> bool>() };
    is_it(job)
}

/// The part of the loop behind a table that other threads use.
struct TableSender {
    send: unsafe extern "C" fn(remote: *const c_void, job: Job),
    drop: unsafe extern "C" fn(remote: *const c_void),
    remote: *const c_void,
}

// SAFETY: the table's promise: both functions are for any thread.
unsafe impl Send for TableSender {}
// SAFETY: as above.
unsafe impl Sync for TableSender {}

impl Sender for TableSender {
    fn send(&self, job: Job) {
        // SAFETY: the reference is there until this is dropped.
        unsafe { (self.send)(self.remote, job) }
    }
}

impl Drop for TableSender {
    fn drop(&mut self) {
        // SAFETY: the reference is there, and is not used again.
        unsafe { (self.drop)(self.remote) }
    }
}

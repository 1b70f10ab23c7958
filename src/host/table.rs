//! A host in another module, reached through a table of C functions.
//!
//! The Python module with the core links no Qt; a module that does hands its table over in a
//! PyCapsule named [`CAPSULE`]. A host for another run loop can be written the same way, in any
//! language: fill in a [`HostTable`] whose functions keep the contract of [`Host`]. For C there is
//! a header, `python/qtloop/include/qtloop_host.h`, which says the same as this file.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use super::{Event, EventSink, Exec, Host, HostError, clock};
use crate::core::{Fd, Interest, Time};
use crate::panics::contain;

/// The capsule's name. The version is in the table.
pub const CAPSULE: &CStr = c"qtloop.HostTable";

/// The newest version of the table. Each has the fields of the one before, and may have more at the
/// end.
pub const VERSION: u32 = 1;

/// Called for each event: 0 ready, 1 deadline, 2 fd. The interest is 1 for read plus 2 for write.
pub type Report = unsafe extern "C" fn(context: *mut c_void, event: u32, fd: Fd, interest: u32);

/// The functions of a host. `session` is what `start` returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostTable {
    /// The version of the table that the host was written for.
    pub version: u32,
    /// What the host is called: UTF-8, for as long as the table is there.
    pub name: *const c_char,
    /// Creates a session on the calling thread that reports to `context`. Null if there is no run
    /// loop to be had; then `why` can be set to a text of UTF-8 that says so, and that stays.
    pub start: unsafe extern "C" fn(
        context: *mut c_void,
        report: Report,
        why: *mut *const c_char,
    ) -> *mut c_void,
    /// Ends the session.
    pub stop: unsafe extern "C" fn(session: *mut c_void),
    /// Runs the loop until `quit` or, unless `drain` is non-zero, until the application quits; the
    /// exit code if it was the application's own loop, else 0.
    pub run: unsafe extern "C" fn(session: *mut c_void, drain: u32) -> i32,
    /// Ends the innermost run, or without one the loops that carry the session.
    pub quit: unsafe extern "C" fn(session: *mut c_void),
    /// Asks for a ready event (non-zero) or takes that back.
    pub arm: unsafe extern "C" fn(session: *mut c_void, armed: u32),
    /// Asks for a deadline event in so many nanoseconds; a negative number takes that back.
    pub set_deadline: unsafe extern "C" fn(session: *mut c_void, nanoseconds: i64),
    /// Asks for events of an fd. 0, or the error's number if it cannot be watched.
    pub watch: unsafe extern "C" fn(session: *mut c_void, fd: Fd, interest: u32) -> i32,
}

// SAFETY: functions, and the address of a text that nobody changes.
unsafe impl Send for HostTable {}

/// The event behind its numbers.
pub fn event_from_abi(event: u32, fd: Fd, interest: u32) -> Option<Event> {
    match event {
        0 => Some(Event::Ready),
        1 => Some(Event::Deadline),
        2 => Some(Event::Fd(fd, Interest::from_abi(interest))),
        _ => None,
    }
}

/// What must happen around calls that cross between the loop and the language above it.
pub trait Boundary: 'static {
    /// Runs `wait`, which may block for long: the place to let go of a global lock.
    fn blocking(wait: impl FnOnce());
    /// Handles an event that came out of such a wait: the place to take the lock again.
    fn event(handle: impl FnOnce());
}

/// A host behind a [`HostTable`].
pub struct TableHost<B> {
    table: HostTable,
    name: String,
    session: Cell<*mut c_void>,
    sink: RefCell<Option<Box<Rc<dyn EventSink>>>>,
    boundary: std::marker::PhantomData<B>,
}

impl<B: Boundary> TableHost<B> {
    /// A host that has not started.
    ///
    /// # Errors
    /// If the table is of a version that nobody knows here.
    ///
    /// # Safety
    /// `table` points to a table of the version that is its first field. Its functions keep the
    /// contract, and stay callable for as long as the host lives.
    pub unsafe fn new(table: *const HostTable) -> Result<TableHost<B>, HostError> {
        // SAFETY: every version has this field, and more is not read yet.
        let version = unsafe { (&raw const (*table).version).read() };
        if !(1..=VERSION).contains(&version) {
            let reason = format!(
                "the host's table has version {version}, and this qtloop knows 1 to {VERSION}"
            );
            return Err(HostError::new(reason));
        }
        // SAFETY: the caller's promise, and the versions up to this one have these fields.
        let table = unsafe { table.read() };
        // SAFETY: as above.
        let name = unsafe { text(table.name) }.unwrap_or_else(|| "unnamed".to_owned());
        let boundary = std::marker::PhantomData;
        Ok(TableHost {
            table,
            name,
            session: Cell::new(ptr::null_mut()),
            sink: RefCell::new(None),
            boundary,
        })
    }

    /// The session, if the host has started.
    fn session(&self) -> Option<*mut c_void> {
        let session = self.session.get();
        (!session.is_null()).then_some(session)
    }
}

/// A text of the table's; `None` for null.
///
/// # Safety
/// A C string, or null.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Brings an event to the sink.
///
/// # Safety
/// `context` points to the sink that the session was started with, and the session has not ended.
unsafe extern "C" fn report<B: Boundary>(context: *mut c_void, event: u32, fd: Fd, interest: u32) {
    // The sink reports what goes wrong itself; a panic that gets here all the same must not unwind
    // into the host.
    contain(|| {
        B::event(|| {
            // SAFETY: the caller's promise. The clone keeps the sink for as long as it handles the
            // event.
            let sink = Rc::clone(unsafe { &*context.cast::<Rc<dyn EventSink>>() });
            if let Some(event) = event_from_abi(event, fd, interest) {
                sink.event(event);
            }
        });
    });
}

impl<B: Boundary> Host for TableHost<B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        let sink = Box::new(sink);
        let context = ptr::from_ref::<Rc<dyn EventSink>>(&sink).cast_mut().cast();
        let mut why = ptr::null();
        // SAFETY: the table keeps the contract. The box keeps its address until `stop` has ended
        // the session.
        let session = unsafe { (self.table.start)(context, report::<B>, &raw mut why) };
        if session.is_null() {
            // SAFETY: null still, or what the host has put there.
            let why = unsafe { text(why) };
            let nothing = || format!("the host {:?} has no run loop for this thread", self.name);
            return Err(HostError::new(why.unwrap_or_else(nothing)));
        }
        self.session.set(session);
        self.sink.replace(Some(sink));
        Ok(())
    }

    fn stop(&self) {
        if let Some(session) = self.session() {
            self.session.set(ptr::null_mut());
            // SAFETY: the session has not ended, and nobody else knows it any more.
            unsafe { (self.table.stop)(session) };
        }
        let sink = self.sink.take();
        drop(sink);
    }

    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        let Some(session) = self.session() else { return Ok(0) };
        let mut code = 0;
        // SAFETY: the session has not ended.
        B::blocking(|| code = unsafe { (self.table.run)(session, u32::from(exec == Exec::Drain)) });
        Ok(code)
    }

    fn quit(&self) {
        if let Some(session) = self.session() {
            // SAFETY: the session has not ended.
            unsafe { (self.table.quit)(session) };
        }
    }

    fn arm(&self) {
        if let Some(session) = self.session() {
            // SAFETY: the session has not ended.
            unsafe { (self.table.arm)(session, 1) };
        }
    }

    fn disarm(&self) {
        if let Some(session) = self.session() {
            // SAFETY: the session has not ended.
            unsafe { (self.table.arm)(session, 0) };
        }
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        if let Some(session) = self.session() {
            let nanos = deadline.map_or(-1, |deadline| nanos(deadline.since(clock::now())));
            // SAFETY: the session has not ended.
            unsafe { (self.table.set_deadline)(session, nanos) };
        }
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        if let Some(session) = self.session() {
            // SAFETY: the session has not ended.
            let errno = unsafe { (self.table.watch)(session, fd, interest.to_abi()) };
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        Ok(())
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

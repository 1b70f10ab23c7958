//! A host in another module, reached through a table of C functions.
//!
//! The Python module with the core links no Qt; a module that does hands its table over in a
//! PyCapsule named [`CAPSULE`]. A host for another run loop can be written the same way, in any
//! language: fill in a [`HostTable`] whose functions keep the contract of [`Host`].

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use super::{Event, Exec, Guest, Host, HostError, clock};
use crate::core::{Fd, Interest, Time};
use crate::panics::contain;

/// The capsule's name, which carries the table's version.
pub const CAPSULE: &CStr = c"qtloop.HostTable.1";

/// Called for each event: 0 ready, 1 deadline, 2 fd. The interest is 1 for read plus 2 for write.
pub type Report = unsafe extern "C" fn(context: *mut c_void, event: u32, fd: Fd, interest: u32);

/// The functions of a host. `session` is what `start` returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostTable {
    /// Creates a session on the calling thread that reports to `context`; null if there is no
    /// application.
    pub start: unsafe extern "C" fn(context: *mut c_void, report: Report) -> *mut c_void,
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
    /// Asks for events of an fd.
    pub watch: unsafe extern "C" fn(session: *mut c_void, fd: Fd, interest: u32),
}

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
    session: Cell<*mut c_void>,
    guest: RefCell<Option<Box<Rc<dyn Guest>>>>,
    boundary: std::marker::PhantomData<B>,
}

impl<B: Boundary> TableHost<B> {
    /// A host that has not started.
    ///
    /// # Safety
    /// The table's functions keep the contract, and stay callable for as long as the host lives.
    pub unsafe fn new(table: HostTable) -> TableHost<B> {
        let boundary = std::marker::PhantomData;
        TableHost {
            table,
            session: Cell::new(ptr::null_mut()),
            guest: RefCell::new(None),
            boundary,
        }
    }

    /// The session, if the host has started.
    fn session(&self) -> Option<*mut c_void> {
        let session = self.session.get();
        (!session.is_null()).then_some(session)
    }
}

/// Brings an event to the guest.
///
/// # Safety
/// `context` points to the guest that the session was started with, and the session has not ended.
unsafe extern "C" fn report<B: Boundary>(context: *mut c_void, event: u32, fd: Fd, interest: u32) {
    // The guest reports what goes wrong itself; a panic that gets here all the same must not unwind
    // into the host.
    contain(|| {
        B::event(|| {
            // SAFETY: the caller's promise. The clone keeps the guest for as long as it handles the
            // event.
            let guest = Rc::clone(unsafe { &*context.cast::<Rc<dyn Guest>>() });
            if let Some(event) = event_from_abi(event, fd, interest) {
                guest.event(event);
            }
        });
    });
}

impl<B: Boundary> Host for TableHost<B> {
    fn name(&self) -> &'static str {
        "qt"
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn start(&self, guest: Rc<dyn Guest>) -> Result<(), HostError> {
        let guest = Box::new(guest);
        let context = ptr::from_ref::<Rc<dyn Guest>>(&guest).cast_mut().cast();
        // SAFETY: the table keeps the contract. The box keeps its address until `stop` has ended
        // the session.
        let session = unsafe { (self.table.start)(context, report::<B>) };
        if session.is_null() {
            return Err(HostError::no_application());
        }
        self.session.set(session);
        self.guest.replace(Some(guest));
        Ok(())
    }

    fn stop(&self) {
        if let Some(session) = self.session() {
            self.session.set(ptr::null_mut());
            // SAFETY: the session has not ended, and nobody else knows it any more.
            unsafe { (self.table.stop)(session) };
        }
        let guest = self.guest.take();
        drop(guest);
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
            unsafe { (self.table.watch)(session, fd, interest.to_abi()) };
        }
        Ok(())
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

//! libkqueue's kqueue on Linux, under the names of the kernel's: for tests.
//!
//! What it does differently:
//! * It is not told when a number is closed. A watch stays until it is removed, and a successor
//!   under the same number seems to be watched.
//! * Its number is one end of a pipe, by which it notices that it is closed. What is readable is an
//!   epoll set that it does not show: that is looked for among the fds of the process.
//! * What is closed goes a moment later, in a thread of its own.
//! * Both directions of an fd are one watch of that epoll set, level-triggered or not.
//! * A call that has room for more than the receipts of its changes looks for events too. If there
//!   are none, it says nothing of the receipts. The manuals have a receipt drain no events. Ours
//!   asks for as many as there are changes.
//! * It tells the error of a socket, and takes it out of the socket by that (`SO_ERROR`). Who then
//!   asks why a connection failed hears that it has not.
//! * To ask whether a watch is there, by enabling it, is refused if a receipt is wanted, without an
//!   `errno`. So that is cleared before each change, and none counts as no error.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_short, c_uint, c_ushort, c_void};
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::Pid;

use crate::sys::fork::Born;

/// C's `struct kevent`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Event {
    ident: usize,
    filter: c_short,
    flags: c_ushort,
    fflags: c_uint,
    data: isize,
    udata: *mut c_void,
}

#[link(name = "kqueue")]
unsafe extern "C" {
    fn kqueue() -> c_int;
    fn kevent(
        queue: c_int,
        changes: *const Event,
        change_count: c_int,
        events: *mut Event,
        event_count: c_int,
        timeout: *const Timespec,
    ) -> c_int;
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

const READ: c_short = -1;
const WRITE: c_short = -2;
const PROC: c_short = -5;
const TIMER: c_short = -7;
const NANOSECONDS: c_uint = 4;

pub enum EventFilter {
    Read(RawFd),
    Write(RawFd),
    Proc { pid: Pid, flags: ProcessEvents },
    Timer { ident: isize, timer: Option<Duration> },
    Unknown,
}

#[derive(Clone, Copy)]
pub struct EventFlags(c_ushort);

impl EventFlags {
    pub const ADD: EventFlags = EventFlags(0x0001);
    pub const DELETE: EventFlags = EventFlags(0x0002);
    pub const ENABLE: EventFlags = EventFlags(0x0004);
    pub const ONESHOT: EventFlags = EventFlags(0x0010);
    pub const CLEAR: EventFlags = EventFlags(0x0020);
    pub const RECEIPT: EventFlags = EventFlags(0x0040);

    pub fn empty() -> EventFlags {
        EventFlags(0)
    }
}

impl std::ops::BitOr for EventFlags {
    type Output = EventFlags;
    fn bitor(self, other: EventFlags) -> EventFlags {
        EventFlags(self.0 | other.0)
    }
}

pub struct ProcessEvents(c_uint);

impl ProcessEvents {
    pub const EXIT: ProcessEvents = ProcessEvents(0x8000_0000);
}

impl Event {
    pub fn new(filter: EventFilter, flags: EventFlags, udata: *mut c_void) -> Event {
        let (ident, filter, fflags, data) = match filter {
            EventFilter::Read(fd) => (fd as usize, READ, 0, 0),
            EventFilter::Write(fd) => (fd as usize, WRITE, 0, 0),
            EventFilter::Proc { pid, flags } => (pid.as_raw_pid() as usize, PROC, flags.0, 0),
            EventFilter::Timer { ident, timer } => {
                let nanos = timer.map_or(isize::MAX, |timer| timer.as_nanos() as isize);
                (ident as usize, TIMER, NANOSECONDS, nanos)
            }
            EventFilter::Unknown => unreachable!("nobody asks for it"),
        };
        Event { ident, filter, flags: flags.0, fflags, data, udata }
    }

    pub fn data(&self) -> i64 {
        self.data as i64
    }

    pub fn filter(&self) -> EventFilter {
        match self.filter {
            READ => EventFilter::Read(self.ident as RawFd),
            WRITE => EventFilter::Write(self.ident as RawFd),
            _ => EventFilter::Unknown,
        }
    }
}

/// A kqueue of the library's.
#[derive(Debug)]
pub struct Kqueue {
    number: ManuallyDrop<OwnedFd>,
    /// The library's.
    set: RawFd,
    born: Born,
}

impl Kqueue {
    /// An empty one.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new() -> io::Result<Kqueue> {
        static FIRST: Once = Once::new();
        // The first one brings a set of the library's own.
        FIRST.call_once(|| drop(Kqueue::make().map(std::mem::forget)));
        Kqueue::make()
    }

    fn make() -> io::Result<Kqueue> {
        /// One at a time: nobody else makes epoll sets.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let before = epoll_sets();
            // SAFETY: the function has no arguments.
            let number = unsafe { kqueue() };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the number is new, and nobody else's.
            let number = unsafe { OwnedFd::from_raw_fd(number) };
            // None is new if it got the number of one that was just closed by the library's thread.
            if let Some(set) = epoll_sets().difference(&before).copied().max() {
                return Ok(Kqueue { number: ManuallyDrop::new(number), set, born: Born::now() });
            }
        }
    }

    /// Whether it was made before a fork.
    pub fn is_inherited(&self) -> bool {
        self.born.is_in_a_parent()
    }

    /// # Safety
    /// As the kernel's.
    pub(super) unsafe fn change(
        &self,
        changes: &[Event],
        receipts: &mut Vec<Event>,
    ) -> io::Result<()> {
        receipts.clear();
        for change in changes {
            let mut receipt = [*change];
            // SAFETY: the address is this thread's errno, as long as the thread is.
            unsafe { *__errno_location() = 0 };
            // SAFETY: the caller's promise.
            let count = unsafe { self.call(&[*change], receipt.as_mut_ptr(), 1) }?;
            receipts.extend_from_slice(&receipt[..count]);
        }
        Ok(())
    }

    pub(super) fn look(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        let room = events.spare_capacity_mut();
        // SAFETY: nothing is changed; there is that much room.
        let count = unsafe { self.call(&[], room.as_mut_ptr().cast(), room.len()) }?;
        // SAFETY: so many were written.
        unsafe { events.set_len(count) };
        Ok(())
    }

    /// # Safety
    /// There is that much room at `events`; for the changes as the kernel's.
    unsafe fn call(&self, changes: &[Event], events: *mut Event, room: usize) -> io::Result<usize> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the library reads the changes and writes as many events as it is told that there
        // is room for; the rest is the caller's promise.
        let count = unsafe {
            kevent(
                self.number.as_raw_fd(),
                if changes.is_empty() { ptr::null() } else { changes.as_ptr() },
                changes.len() as c_int,
                events,
                room as c_int,
                &raw const at_once,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

fn epoll_sets() -> BTreeSet<RawFd> {
    let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let is_set =
        |number: &RawFd| fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(is_epoll_set);
    numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_set).collect()
}

fn is_epoll_set(target: std::path::PathBuf) -> bool {
    target.to_str() == Some("anon_inode:[eventpoll]")
}

impl AsFd for Kqueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the library has it open as long as the kqueue is.
        unsafe { BorrowedFd::borrow_raw(self.set) }
    }
}

impl Drop for Kqueue {
    fn drop(&mut self) {
        if self.is_inherited() {
            return;
        }
        // SAFETY: it is not used again.
        unsafe { ManuallyDrop::drop(&mut self.number) };
        // For those who count what is open. Its number may be another one's soon.
        for _ in 0..200 {
            if !epoll_sets().contains(&self.set) {
                break;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }
}

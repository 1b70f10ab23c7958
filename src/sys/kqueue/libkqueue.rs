//! libkqueue's kqueue on Linux, under the names of the kernel's kqueue. It is for tests.
//!
//! It differs from the kernel's kqueue:
//! * It does not notice when a number is closed. A watch stays until it is removed, and the next
//!   file under the same number seems to be watched.
//! * Its number is one end of a pipe, by which it notices that it is closed. The readable fd is an
//!   epoll set that it does not expose. The code below searches for it among the fds of the
//!   process.
//! * A thread of the library frees a closed kqueue a moment later.
//! * Both directions of an fd are one watch of that epoll set, so both have the same trigger.
//! * If a call has room for more entries than its receipts, the library looks for events too. If
//!   there are none, it loses the receipts. According to the manuals receipts drain no events. The
//!   code below asks for one receipt for each change.
//! * It reads the error of a socket by `SO_ERROR`, which clears the error. Code that then asks why
//!   a connection failed is told that it has not failed.
//! * It refuses to enable a watch with a receipt, without an `errno`. So `errno` is cleared before
//!   each change, and an `errno` of 0 counts as success.

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

/// A kqueue of the library.
#[derive(Debug)]
pub struct Kqueue {
    number: ManuallyDrop<OwnedFd>,
    /// The library's epoll set.
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
        // The first kqueue also makes an epoll set for the library itself.
        FIRST.call_once(|| drop(Kqueue::make().map(std::mem::forget)));
        Kqueue::make()
    }

    fn make() -> io::Result<Kqueue> {
        /// Only one kqueue is made at a time, so that no other epoll set appears meanwhile.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let before = epoll_sets();
            // SAFETY: the function has no arguments.
            let number = unsafe { kqueue() };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the number is new, and no one else owns it.
            let number = unsafe { OwnedFd::from_raw_fd(number) };
            // No number is new if the set got the number of a set that the library's thread has
            // just closed.
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
    /// The same as for the kernel's `change`.
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
        // SAFETY: no watch is changed; `room` has the stated length.
        let count = unsafe { self.call(&[], room.as_mut_ptr().cast(), room.len()) }?;
        // SAFETY: the library has written `count` events.
        unsafe { events.set_len(count) };
        Ok(())
    }

    /// # Safety
    /// There is room for `room` entries at `events`. For the changes the same holds as for the
    /// kernel's `change`.
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
        // SAFETY: the number is not used again.
        unsafe { ManuallyDrop::drop(&mut self.number) };
        // Waits until the set is closed, for tests that count open fds. Its number may soon belong
        // to another file.
        for _ in 0..200 {
            if !epoll_sets().contains(&self.set) {
                break;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }
}

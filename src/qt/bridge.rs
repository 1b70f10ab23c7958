//! The C++ bridge as Rust sees it: one thin `cpp!` block a method.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::time::Duration;

use cpp::cpp;

use crate::core::{Fd, Interest};
use crate::host::table::Report;

cpp! {{
    #include "bridge.h"
    #include "bridge.cpp"
}}

/// The Qt version whose headers this was built against.
#[cfg(feature = "qt-module")]
pub fn qt_version() -> String {
    // SAFETY: reads a string literal.
    let version =
        unsafe { cpp!([] -> *const std::ffi::c_char as "const char *" { return QT_VERSION_STR; }) };
    // SAFETY: QT_VERSION_STR is NUL-terminated and static.
    unsafe { std::ffi::CStr::from_ptr(version) }.to_string_lossy().into_owned()
}

/// The Qt objects of one run. Not `Send`: they belong to the thread that made them.
pub struct Bridge(NonNull<c_void>);

impl Bridge {
    /// The objects on the calling thread; `None` if it cannot have an event loop because there is
    /// no `QCoreApplication`.
    ///
    /// # Safety
    /// `report` may be called with `context` from any event loop of this thread until the bridge is
    /// dropped.
    pub unsafe fn new(context: *mut c_void, report: Report) -> Option<Bridge> {
        // SAFETY: creates Qt objects on this thread; what is stored may be stored, by the caller's
        // promise.
        let bridge = unsafe {
            cpp!([context as "void \
                *", report as "qtloop::Report"] -> *mut c_void as "qtloop::Bridge *" {
                return qtloop::Bridge::create(context, report);
            })
        };
        NonNull::new(bridge).map(Bridge)
    }

    /// Gives the bridge away as a pointer.
    #[cfg(feature = "qt-module")]
    pub fn into_raw(self) -> *mut c_void {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    /// Takes a bridge back that was given away.
    ///
    /// # Safety
    /// `raw` comes from [`into_raw`](Bridge::into_raw), on this thread; it is dropped once at most.
    #[cfg(feature = "qt-module")]
    pub unsafe fn from_raw(raw: *mut c_void) -> Option<Bridge> {
        NonNull::new(raw).map(Bridge)
    }

    /// Runs an event loop until [`quit`](Bridge::quit), or until the application quits; `drain`
    /// ignores the latter. The exit code if it was the application's own loop.
    pub fn run(&self, drain: bool) -> i32 {
        let bridge = self.0.as_ptr();
        // SAFETY: the bridge lives as long as `self`, and this is its thread since it is not
        // `Send`.
        unsafe {
            cpp!([bridge as "qtloop::Bridge \
                *", drain as "bool"] -> i32 as "qint32" { return bridge->run(drain); })
        }
    }

    /// Ends the innermost run, or without one the thread's event loops.
    pub fn quit(&self) {
        let bridge = self.0.as_ptr();
        // SAFETY: as in `run`.
        unsafe { cpp!([bridge as "qtloop::Bridge *"] { bridge->quit(); }) }
    }

    /// Starts a fresh zero-timeout timer.
    pub fn arm(&self) {
        let bridge = self.0.as_ptr();
        // SAFETY: as in `run`.
        unsafe { cpp!([bridge as "qtloop::Bridge *"] { bridge->arm(); }) }
    }

    /// Stops it.
    pub fn disarm(&self) {
        let bridge = self.0.as_ptr();
        // SAFETY: as in `run`.
        unsafe { cpp!([bridge as "qtloop::Bridge *"] { bridge->disarm(); }) }
    }

    /// Starts the timer of the next deadline, or stops it.
    pub fn set_deadline(&self, wait: Option<Duration>) {
        let bridge = self.0.as_ptr();
        let nanos = wait.map_or(-1, |wait| i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        // SAFETY: as in `run`.
        unsafe {
            cpp!([bridge as "qtloop::Bridge *", nanos as "qint64"] { bridge->setDeadline(nanos); })
        }
    }

    /// Changes which directions of `fd` have an enabled notifier.
    pub fn watch(&self, fd: Fd, interest: Interest) {
        let bridge = self.0.as_ptr();
        let interest = interest.to_abi();
        // SAFETY: as in `run`.
        unsafe {
            cpp!([bridge as "qtloop::Bridge \
                *", fd as "qint32", interest as "quint32"] { bridge->watch(fd, interest); })
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let bridge = self.0.as_ptr();
        // SAFETY: made by `new`, dropped once, on its thread.
        unsafe { cpp!([bridge as "qtloop::Bridge *"] { delete bridge; }) }
    }
}

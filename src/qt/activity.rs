//! The signs of a thread's Qt event loop, as a table for another module.

use std::ffi::c_void;

use cpp::cpp;

use crate::host::activity::{SignTable, Tell};

cpp! {{
    #include "signs.h"
}}

/// # Safety
/// `tell` may be called with `context` from any event loop of this thread until [`stop`].
unsafe extern "C" fn start(context: *mut c_void, tell: Tell) -> *mut c_void {
    // SAFETY: creates a Qt object on this thread; what is stored may be stored, by the caller's
    // promise.
    unsafe {
        cpp!([context as "void *", tell as "qtloop::Tell"] -> *mut c_void as "qtloop::Signs *" {
            return qtloop::Signs::create(context, tell);
        })
    }
}

/// # Safety
/// `session` comes from [`start`], on this thread, and was not stopped before.
unsafe extern "C" fn stop(session: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { cpp!([session as "qtloop::Signs *"] { delete session; }) }
}

pub const TABLE: SignTable = SignTable { start, stop };

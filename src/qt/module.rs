//! The Python module `qtloop._qt6`: the native host's tables in capsules.
//!
//! Import it only when a binding has brought a Qt 6 into the process: it is linked against that
//! library's name.

use std::ffi::{c_char, c_void};

use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::bridge::{self, Bridge};
use super::{Application, activity};
use crate::core::{Fd, Interest};
use crate::host::NO_APPLICATION;
use crate::host::activity::CAPSULE as SIGNS_CAPSULE;
use crate::host::table::{CAPSULE, HostTable, Report, VERSION};

/// # Safety
/// As [`Bridge::new`], and `why` can be written to.
unsafe extern "C" fn start(
    context: *mut c_void,
    report: Report,
    why: *mut *const c_char,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { Bridge::new(context, report) }.map_or_else(
        || {
            // SAFETY: the caller's promise. The text is a constant.
            unsafe { why.write(NO_APPLICATION.as_ptr()) };
            std::ptr::null_mut()
        },
        Bridge::into_raw,
    )
}

/// # Safety
/// `session` comes from [`start`], on this thread, and was not stopped before.
unsafe extern "C" fn stop(session: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Bridge::from_raw(session) });
}

/// Calls a method of the bridge behind `session`.
///
/// # Safety
/// `session` comes from [`start`], on this thread, and stays until the call ends.
unsafe fn with(session: *mut c_void, call: impl FnOnce(&Bridge)) {
    // SAFETY: the caller's promise.
    if let Some(bridge) = unsafe { Bridge::from_raw(session) } {
        let bridge = std::mem::ManuallyDrop::new(bridge);
        call(&bridge);
    }
}

/// # Safety
/// As [`with`].
unsafe extern "C" fn run(session: *mut c_void, drain: u32) -> i32 {
    let mut code = 0;
    // SAFETY: the caller's promise.
    unsafe { with(session, |bridge| code = bridge.run(drain != 0)) };
    code
}

/// # Safety
/// As [`with`].
unsafe extern "C" fn quit(session: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { with(session, Bridge::quit) };
}

/// # Safety
/// As [`with`].
unsafe extern "C" fn arm(session: *mut c_void, armed: u32) {
    // SAFETY: the caller's promise.
    unsafe { with(session, |bridge| if armed != 0 { bridge.arm() } else { bridge.disarm() }) };
}

/// # Safety
/// As [`with`].
unsafe extern "C" fn set_deadline(session: *mut c_void, nanoseconds: i64) {
    let wait = u64::try_from(nanoseconds).ok().map(std::time::Duration::from_nanos);
    // SAFETY: the caller's promise.
    unsafe { with(session, |bridge| bridge.set_deadline(wait)) };
}

/// # Safety
/// As [`with`].
unsafe extern "C" fn watch(session: *mut c_void, fd: Fd, interest: u32) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { with(session, |bridge| bridge.watch(fd, Interest::from_abi(interest))) };
    0
}

const TABLE: HostTable = HostTable {
    version: VERSION,
    name: c"qt".as_ptr(),
    start,
    stop,
    run,
    quit,
    arm,
    set_deadline,
    watch,
};

/// `qtloop._qt6`.
#[pymodule(gil_used = true)]
fn _qt6(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::subinterpreter::refuse(module)?;
    let capsule = PyCapsule::new_with_value(module.py(), TABLE, CAPSULE)?;
    module.add("host", capsule)?;
    module.add("signs", PyCapsule::new_with_value(module.py(), activity::TABLE, SIGNS_CAPSULE)?)?;
    module.add("built_against", bridge::qt_version())?;
    module.add_function(wrap_pyfunction!(has_application, module)?)?;
    module.add_function(wrap_pyfunction!(make_application, module)?)?;
    module.add_function(wrap_pyfunction!(is_gui_thread, module)?)?;
    module.add_function(wrap_pyfunction!(has_gui, module)?)?;
    module.add_function(wrap_pyfunction!(quit_application, module)?)
}

/// What a binding is asked where there is one: whether the process has an application.
#[pyfunction]
fn has_application() -> bool {
    Application::exists()
}

/// Makes an application that lives as long as the process.
#[pyfunction]
fn make_application() {
    std::mem::forget(Application::new());
}

/// Whether this is the application's thread.
#[pyfunction]
fn is_gui_thread() -> bool {
    Application::is_on_this_thread()
}

/// Whether the application can have windows.
#[pyfunction]
fn has_gui() -> bool {
    Application::has_gui()
}

/// `QCoreApplication::quit()`. What it calls may want the GIL.
#[pyfunction]
fn quit_application(py: Python<'_>) {
    py.detach(Application::quit);
}

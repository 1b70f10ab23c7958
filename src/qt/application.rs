//! A `QCoreApplication` for programs that have no other reason to make one.

use std::ffi::c_void;
use std::marker::PhantomData;

use cpp::cpp;

cpp! {{
    #include <QtCore/QCoreApplication>
}}

/// A headless application object, which every Qt event loop needs. There can be one in a process; it belongs to the thread that
/// made it, which Qt from then on takes for the main thread.
pub struct Application {
    application: *mut c_void,
    thread_bound: PhantomData<*const ()>,
}

impl Application {
    /// Makes the application object; `None` if the process has one already.
    pub fn new() -> Option<Application> {
        // SAFETY: creates a Qt object, with arguments that live as long as the process, unless there is one.
        let application = unsafe {
            cpp!([] -> *mut c_void as "QCoreApplication *" {
                static char name[] = "qtloop";
                static char *arguments[] = { name, nullptr };
                static int count = 1;
                return QCoreApplication::instance() ? nullptr : new QCoreApplication(count, arguments);
            })
        };
        (!application.is_null()).then_some(Application { application, thread_bound: PhantomData })
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let application = self.application;
        // SAFETY: made by `new`, deleted once, on its thread.
        unsafe { cpp!([application as "QCoreApplication *"] { delete application; }) }
    }
}

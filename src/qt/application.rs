//! A `QCoreApplication` for programs that have no other reason to make one.

use std::ffi::c_void;
use std::marker::PhantomData;

use cpp::cpp;

cpp! {{
    #include <QtCore/QCoreApplication>
    #include <QtCore/QThread>
}}

/// A headless application object, which every Qt event loop needs. There can be one in a process;
/// it belongs to the thread that made it, which Qt from then on takes for the main thread.
pub struct Application {
    application: *mut c_void,
    thread_bound: PhantomData<*const ()>,
}

impl Application {
    /// Makes the application object; `None` if the process has one already.
    pub fn new() -> Option<Application> {
        // SAFETY: creates a Qt object, with arguments that live as long as the process, unless
        // there is one.
        let application = unsafe {
            cpp!([] -> *mut c_void as "QCoreApplication *" {
                static char name[] = "qtloop";
                static char *arguments[] = { name, nullptr };
                static int count = 1;
                return QCoreApplication::instance()
                    ? nullptr
                    : new QCoreApplication(count, arguments);
            })
        };
        (!application.is_null()).then_some(Application { application, thread_bound: PhantomData })
    }

    /// Whether the process has an application object, whoever made it.
    pub fn exists() -> bool {
        // SAFETY: may be asked at any time.
        unsafe { cpp!([] -> bool as "bool" { return QCoreApplication::instance() != nullptr; }) }
    }

    /// Whether the application object belongs to the calling thread; false if there is none.
    pub fn is_on_this_thread() -> bool {
        // SAFETY: as in `exists`.
        unsafe {
            cpp!([] -> bool as "bool" {
                QCoreApplication *application = QCoreApplication::instance();
                return application && application->thread() == QThread::currentThread();
            })
        }
    }

    /// Whether the application object is one that can have windows; false if there is none.
    pub fn has_gui() -> bool {
        // SAFETY: as in `exists`.
        unsafe {
            cpp!([] -> bool as "bool" {
                QCoreApplication *application = QCoreApplication::instance();
                return application && application->inherits("QGuiApplication");
            })
        }
    }

    /// `QCoreApplication::exec()`: runs the application's event loop until
    /// [`quit`](Application::quit), and gives the exit code. Whoever made the application; -1 at
    /// once if there is none, or on another thread than its own.
    pub fn exec() -> i32 {
        if !Application::is_on_this_thread() {
            return -1;
        }
        // SAFETY: there is an application, and this is its thread.
        unsafe { cpp!([] -> i32 as "int" { return QCoreApplication::exec(); }) }
    }

    /// `QCoreApplication::quit()`, from any thread: ends the application's event loop and those
    /// that are nested in it. Does nothing if none runs.
    pub fn quit() {
        // Spelled with `::` because the crate `cpp` names a block after its text alone, and
        // qmetaobject has the other one. SAFETY: may be called at any time and from any thread;
        // does nothing without an application.
        unsafe { cpp!([] { ::QCoreApplication::quit(); }) }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let application = self.application;
        // SAFETY: made by `new`, deleted once, on its thread.
        unsafe { cpp!([application as "QCoreApplication *"] { delete application; }) }
    }
}

//! A QML application's whole life.

use cpp::cpp;
use qmetaobject::QmlEngine;

use crate::driver::RunError;
use crate::qt::QtHost;
use crate::task::EventLoop;

cpp! {{
    #include <QtGui/QGuiApplication>
}}

/// Runs a QML application: makes it and its engine, lets `setup` load what it shows, and runs until
/// it quits. Returns its exit code.
///
/// Tasks may be spawned from the beginning of `setup`; they run when it has returned. When the
/// application has quit, the tasks are dropped first, then the engine with its objects and the
/// application, and last what `setup` returned: the objects of Rust's that QML refers to.
///
/// ```no_run
/// use std::error::Error;
/// use qmetaobject::{QObjectBox, prelude::*};
/// use qtloop::qml::{self, ObjectRef, StreamModel};
/// # #[derive(Default, SimpleListItem)] struct Row { pub name: QString }
/// # use qmetaobject::SimpleListItem;
///
/// fn main() -> Result<(), Box<dyn Error>> {
///     std::process::exit(qml::run(show)?);
/// }
///
/// fn show(engine: &mut QmlEngine) -> Result<impl Sized + use<>, Box<dyn Error>> {
///     let model = QObjectBox::new(StreamModel::<Row>::new());
///     engine.set_object_property("rows".into(), model.pinned());
///     engine.load_file("main.qml".into());
///     if ObjectRef::root(engine).is_null() {
///         return Err("QML has said what is wrong".into());
///     }
///     Ok(model)
/// }
/// ```
///
/// It is short for these lines, in which the order is what matters: locals are dropped from the
/// last to the first.
///
/// ```no_run
/// # use qmetaobject::QmlEngine;
/// # use qtloop::{EventLoop, qt::QtHost};
/// // Objects of Rust's come here.
/// let mut engine = QmlEngine::new();
/// let event_loop = EventLoop::new(QtHost::new())?;
/// let attachment = event_loop.attach()?;
/// engine.load_file("main.qml".into());
/// engine.exec();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As `setup`, and if the process has no file descriptor left for the loop; then the application
/// does not run.
///
/// # Panics
/// If there is an engine or an application object already, and as `setup` panics.
pub fn run<T, E: From<RunError>>(
    setup: impl FnOnce(&mut QmlEngine) -> Result<T, E>,
) -> Result<i32, E> {
    let _kept;
    let mut engine = QmlEngine::new();
    let event_loop = EventLoop::new(QtHost::new()).map_err(RunError::Io)?;
    let _attachment = event_loop.attach()?;
    _kept = setup(&mut engine)?;
    // SAFETY: the engine has made the application object, on this thread.
    Ok(unsafe { cpp!([] -> i32 as "int" { return QGuiApplication::exec(); }) })
}

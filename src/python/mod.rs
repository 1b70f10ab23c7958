//! Rust futures on Python's loop: in one thread, with one runtime.
//!
//! For extension modules, with the feature `python`. [`future_into_py`] makes a Rust future
//! awaitable, [`into_future`] makes what Python awaits a Rust future; both kinds run as tasks of
//! the same loop, `qtloop.EventLoop`, turn about, on the thread of Qt and of Python. Nothing is
//! handed to another thread, so a future need not be `Send`. What [`sleep`](crate::sleep),
//! [`spawn_local`](crate::spawn_local) and the other futures of this crate want of a loop they find
//! inside such a future.
//!
//! ```no_run
//! use std::time::Duration;
//! use pyo3::prelude::*;
//! use qtloop::python::{future_into_py, into_future};
//!
//! /// `await slowly(callback)` in Python: waits, then awaits `callback()` and returns its result.
//! #[pyfunction]
//! fn slowly<'py>(py: Python<'py>, callback: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
//!     future_into_py(py, async move {
//!         qtloop::sleep(Duration::from_secs(1)).await;
//!         let called = Python::attach(|py| into_future(callback.bind(py).call0()?))?;
//!         called.await
//!     })
//! }
//! ```
//!
//! # Which loop
//!
//! The one that runs on this thread or is attached to it: [`current_loop`]. The first Rust future
//! binds a loop to its thread: it does not run on another one any more. A loop that is closed drops
//! its Rust futures; closed by another thread, it must not, and leaks them with a
//! `ResourceWarning`.
//!
//! # The GIL
//!
//! The loop polls with the GIL held, and so it drops futures.
//! [`Python::attach`](pyo3::Python::attach) inside costs next to nothing; what takes long is for
//! [`Python::detach`](pyo3::Python::detach), or for another thread.
//!
//! # What Python's garbage collector sees
//!
//! It does not see what a Rust future refers to. A cycle through one is freed when the future has
//! ended, or when the loop is closed. So a loop with a Rust future that is pending is not collected
//! before it is closed; `qtloop.run` and `asyncio.Runner` close theirs.
//!
//! # A program that embeds Python
//!
//! [`run`] runs a Rust future, and [`run_script`] a Python script, in a program that is not
//! Python's. They start an interpreter (see [`Interpreter`] for virtual environments) and make a
//! `QCoreApplication`, unless there are such. [`App`] is the loop before it runs: Rust spawns
//! futures on it, and a script that asks for a loop gets this one. [`finish`] ends the program as
//! Python would.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use qtloop::python::{self, App, Error};
//!
//! fn main() -> ExitCode {
//!     python::finish(serve())
//! }
//!
//! fn serve() -> Result<(), Error> {
//!     let app = App::new()?;
//!     let hello = async { println!("Rust, on the loop that the script runs") };
//!     app.local()?.spawn_local(hello).detach();
//!     Ok(app.run_script("server.py", ["--port", "8080"])?)
//! }
//! ```
//!
//! `import qtloop` gives the package that is part of the program, not an installed one: with two
//! there would be two Rust halves, whose loops know nothing of each other. Build with the feature
//! `qt-module`; Qt is the program's own then, and no binding need be installed. What takes or gives
//! a QObject (`qtloop.emitted`, `qtloop.slot` and their kin) needs one all the same, and raises
//! `ImportError` without.
//!
//! A script may import a binding, if both mean the same Qt. A binding that the system's packages
//! install shares the system's Qt with the program. A wheel of PyQt6 or PySide6 brings a Qt of its
//! own, of the same name, in whose place the program's is loaded already: mostly the import fails,
//! since the wheel was built for a newer one ("version `Qt_6.11' not found"). PyQt5 and PySide2
//! load a second Qt; the loop runs the program's alone. Make widgets in such a program with a
//! binding of the system's, or in C++ or QML.

#[cfg(unix)]
mod embed;
mod future;

#[cfg(unix)]
pub use self::embed::exit::finish;
#[cfg(unix)]
pub use self::embed::interpreter::{Error, Interpreter};
#[cfg(unix)]
pub use self::embed::run::{App, run, run_module, run_script};
pub use self::future::current_loop::{current_loop, handle_of};
pub use self::future::from_python::into_future;
#[cfg(feature = "async-runtimes")]
pub use self::future::runtime::{Qtloop, Spawned};
pub use self::future::to_python::future_into_py;

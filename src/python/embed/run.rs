//! An application in both languages: Rust futures and asyncio's tasks on one loop.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsString;
use std::future::Future;
use std::iter;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use pyo3::exceptions::{PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::exit::flush;
use super::interpreter::{Error, Interpreter};
use crate::python::{future_into_py, handle_of};
use crate::task::LocalHandle;

/// Runs a future on a `qtloop.EventLoop`, as `qtloop.run` runs a coroutine, and gives its output.
/// What is missing is made: the interpreter, as [`Interpreter::new`] starts it, and a
/// `QCoreApplication`.
///
/// Inside, coroutines and asyncio's futures are awaited by
/// [`into_future`](crate::python::into_future). In the end asyncio's tasks are cancelled and async
/// generators and the default executor shut down, and the loop is closed. Call it in the program's
/// main thread.
///
/// # Errors
/// What the future gives; `KeyboardInterrupt` after Ctrl-C and `SystemExit` if the application
/// quits before the future is done, which is dropped then; [`Error::Start`] if the interpreter does
/// not start.
///
/// # Panics
/// If the future panics, as it does, after all that.
pub fn run<T: 'static>(main: impl Future<Output = PyResult<T>> + 'static) -> Result<T, Error> {
    Ok(App::new()?.run(main)?)
}

/// Runs a Python file as the command `python` does; `args` follow it in `sys.argv`. See
/// [`App::run_script`].
///
/// # Errors
/// What the script raises, `SystemExit` too; [`Error::Start`] if the interpreter does not start.
pub fn run_script(
    path: impl AsRef<Path>,
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<(), Error> {
    Ok(App::new()?.run_script(path, args)?)
}

/// Runs a Python module as `python -m` does. See [`run_script`].
///
/// # Errors
/// As [`run_script`].
pub fn run_module(
    name: &str,
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<(), Error> {
    Ok(App::new()?.run_module(name, args)?)
}

/// An event loop that Rust and Python share, before it runs.
///
/// As long as it is neither running nor closed, `qtloop.new_event_loop()` gives out this very loop
/// in this thread. So `qtloop.run(main())` in a script runs what Rust has spawned too, and drops
/// what is left of it at its end; later loops are new ones.
///
/// ```no_run
/// use qtloop::python::App;
/// use std::time::Duration;
///
/// let app = App::new()?;
/// app.local()?.spawn_local(async {
///     qtloop::sleep(Duration::from_secs(1)).await;
///     println!("The script's loop runs this.");
/// })
/// .detach();
/// app.run_script("app.py", ["--verbose"])?;
/// # Ok::<(), qtloop::python::Error>(())
/// ```
///
/// Dropping it closes the loop.
pub struct App {
    event_loop: Py<PyAny>,
    thread_bound: PhantomData<*const ()>,
}

impl App {
    /// Makes the loop, and starts the interpreter as [`Interpreter::new`] does, if there is none. A
    /// `QCoreApplication` is not made before the loop runs, so that a script can make its own kind
    /// with a binding. Call it in the program's main thread.
    ///
    /// # Errors
    /// [`Error::Start`] if the interpreter does not start; `ImportError` if the program was built
    /// without Qt (feature `qt-module`) and there is no binding.
    pub fn new() -> Result<App, Error> {
        Interpreter::new().start()?;
        let event_loop = Python::attach(|py| {
            let event_loop = py.import("qtloop")?.call_method0("EventLoop")?;
            py.import("qtloop._current")?.call_method1("offer", (&event_loop,))?;
            PyResult::Ok(event_loop.unbind())
        })?;
        Ok(App { event_loop, thread_bound: PhantomData })
    }

    /// The loop: a `qtloop.EventLoop`.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.event_loop.bind(py)
    }

    /// The loop, to spawn futures on it.
    ///
    /// # Errors
    /// If the loop is closed.
    pub fn local(&self) -> PyResult<LocalHandle> {
        Python::attach(|py| handle_of(self.event_loop.bind(py)))
    }

    /// As [`run`], on this loop.
    ///
    /// # Errors
    /// As [`run`]; `RuntimeError` if another loop runs in this thread.
    ///
    /// # Panics
    /// If the future panics, as it does.
    pub fn run<T: 'static>(self, main: impl Future<Output = PyResult<T>> + 'static) -> PyResult<T> {
        let outcome = Rc::new(Cell::new(None));
        let slot = Rc::clone(&outcome);
        let main =
            Box::pin(async move { slot.set(Some(AssertUnwindSafe(main).catch_unwind().await)) });
        let start = Start(RefCell::new(Some(main)));
        let ended = self.with(|py| {
            py.import("qtloop._embedding")?.call_method1("run_future", (start,)).map(drop)
        });
        match (ended, outcome.take()) {
            (_, Some(Err(panic))) => resume_unwind(panic),
            (Ok(()), Some(Ok(output))) => output,
            // The application quit with this code: any other is an error.
            (Ok(()), None) => Err(PySystemExit::new_err(0)),
            (Err(error), Some(Ok(Err(first)))) => Err(after(first, error)),
            (Err(error), _) => Err(error),
        }
    }

    /// Runs a Python file as the command `python` does: its name is `__main__`, `args` follow it in
    /// `sys.argv`, and its directory comes first in `sys.path`. A directory or ZIP file with a
    /// `__main__.py` will do, too.
    ///
    /// # Errors
    /// What the script raises, `SystemExit` too: see [`finish`](crate::python::finish).
    pub fn run_script(
        self,
        path: impl AsRef<Path>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> PyResult<()> {
        let path = path.as_ref();
        self.run_main(path.as_os_str().to_owned(), args, |py, options| {
            if path.is_file() {
                let directory = path.canonicalize()?.parent().map(Path::to_owned);
                search_first(py, directory.unwrap_or_default())?;
            }
            py.import("runpy")?.call_method("run_path", (path.as_os_str(),), Some(options))
        })
    }

    /// Runs a Python module as `python -m` does.
    ///
    /// # Errors
    /// As [`run_script`](App::run_script).
    pub fn run_module(
        self,
        name: &str,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> PyResult<()> {
        self.run_main(name.into(), args, |py, options| {
            search_first(py, env::current_dir()?)?;
            options.set_item("alter_sys", true)?;
            py.import("runpy")?.call_method("run_module", (name,), Some(options))
        })
    }

    /// Sets `sys.argv` and has `runpy` run a `__main__`.
    fn run_main<R>(
        self,
        name: OsString,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        runpy: R,
    ) -> PyResult<()>
    where
        R: for<'py> FnOnce(Python<'py>, &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>>,
    {
        let argv: Vec<_> = iter::once(name).chain(args.into_iter().map(Into::into)).collect();
        self.with(|py| {
            py.import("sys")?.setattr("argv", argv)?;
            let options = PyDict::new(py);
            options.set_item("run_name", "__main__")?;
            runpy(py, &options).map(drop)
        })
    }

    /// Calls Python code, then closes the loop and flushes what was printed.
    fn with(self, code: impl FnOnce(Python<'_>) -> PyResult<()>) -> PyResult<()> {
        Python::attach(|py| {
            // What Qt calls between two turns, a slot of Rust's, finds the loop too.
            let entered = handle_of(self.event_loop.bind(py))?.enter();
            let outcome = code(py);
            drop(entered);
            drop(self);
            let flushed = flush(py);
            outcome.and(flushed)
        })
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // The interpreter may have ended; then there is nothing to close.
        Python::try_attach(|py| {
            let event_loop = self.event_loop.bind(py);
            if let Err(error) = close(event_loop) {
                error.write_unraisable(py, Some(event_loop));
            }
        });
    }
}

/// An error that came after another one, which a traceback shows first.
fn after(first: PyErr, error: PyErr) -> PyErr {
    Python::attach(|py| error.set_context(py, Some(first)));
    error
}

/// Puts a directory at the head of `sys.path`.
fn search_first(py: Python<'_>, directory: PathBuf) -> PyResult<()> {
    py.import("sys")?.getattr("path")?.cast_into::<PyList>()?.insert(0, directory.into_os_string())
}

/// Closes a loop, unless it is running: one of its own tasks has dropped the application, and who
/// runs the loop closes it.
fn close(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    if event_loop.call_method0("is_running")?.is_truthy()? {
        return Ok(());
    }
    event_loop.call_method0("close").map(drop)
}

/// A future that is to be run: once called, inside the loop, it is an awaitable.
#[pyclass(unsendable)]
struct Start(RefCell<Option<LocalBoxFuture<'static, ()>>>);

#[pymethods]
impl Start {
    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let main = self
            .0
            .borrow_mut()
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("the future runs already"))?;
        future_into_py(py, main.map(Ok::<_, PyErr>))
    }
}

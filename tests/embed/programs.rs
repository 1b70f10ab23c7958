//! The programs.

use std::env;
use std::ffi::CStr;
use std::future::pending;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use pyo3::exceptions::{PySystemExit, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qtloop::python::{self, App, Error, Interpreter, into_future};
use qtloop::qt::Application;
use qtloop::{sleep, spawn_local};

#[allow(dead_code)]
#[path = "../../examples/embed_python/main.rs"]
mod example;

/// A program that needs so long hangs.
const PATIENCE: Duration = Duration::from_secs(100);

type Outcome = Result<(), Error>;
type Program = fn() -> Outcome;

const PROGRAMS: &[(&str, Program)] = &[
    ("script", script),
    ("module", module),
    ("start", start),
    ("named_venv", named_venv),
    ("shared_loop", shared_loop),
    ("spawned", spawned),
    ("dropped_app", dropped_app),
    ("other_thread", other_thread),
    ("outputs", outputs),
    ("rust_error", rust_error),
    ("exit_code", exit_code),
    ("panicking", panicking),
    ("coroutine_error", coroutine_error),
    ("left_over_tasks", left_over_tasks),
    ("two_errors", two_errors),
    ("quit", quit),
    ("interrupted", interrupted),
    ("example", example::serve),
];

/// Is the program of this name.
pub fn run(name: &str) -> ExitCode {
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        eprintln!("the program hangs");
        std::process::abort();
    });
    let program = PROGRAMS.iter().find(|(it, _)| *it == name).expect("a program of that name").1;
    python::finish(program())
}

/// The script that the arguments name.
fn script() -> Outcome {
    let mut args = env::args_os().skip(1);
    python::run_script(args.next().expect("a script"), args)
}

/// The module that the arguments name.
fn module() -> Outcome {
    let mut args = env::args().skip(1);
    python::run_module(&args.next().expect("a module"), args)
}

/// Starts the interpreter twice and says what it is.
fn start() -> Outcome {
    Interpreter::new().start()?;
    Interpreter::new().venv("/nowhere").start()?;
    describe()
}

/// As `start`, with the virtual environment that the argument names.
fn named_venv() -> Outcome {
    Interpreter::new()
        .venv(env::args_os().nth(1).expect("a directory"))
        .args(["one", "two"])
        .start()?;
    describe()
}

fn describe() -> Outcome {
    let code = c"import sys, threading
print(sys.prefix, sys.base_prefix, sys.executable, sys.argv, sep='\\n')
print(threading.current_thread() is threading.main_thread())
";
    Ok(Python::attach(|py| py.run(code, None, None))?)
}

/// A script that finds the application's loop as `builtins.application_loop`.
fn shared_loop() -> Outcome {
    let app = App::new()?;
    Python::attach(|py| py.import("builtins")?.setattr("application_loop", app.event_loop(py)))?;
    Ok(app.run_script(env::args_os().nth(1).expect("a script"), [""; 0])?)
}

/// Says when it is dropped.
struct Told(&'static str);

impl Drop for Told {
    fn drop(&mut self) {
        println!("{} is dropped", self.0);
    }
}

/// Futures spawned before the script runs, and from a thread while it does.
fn spawned() -> Outcome {
    let app = App::new()?;
    let local = app.local()?;
    let handle = local.handle();
    let task = local.spawn_local(async move {
        println!("the task runs");
        sleep(Duration::from_millis(1)).await;
        let called = handle.clone();
        let thread = thread::spawn(move || called.call_soon(|| println!("called from a thread")));
        thread.join().expect("the thread ends");
        handle.call_soon(Application::quit);
        let _told = Told("the task");
        pending::<()>().await;
    });
    app.run_script(env::args_os().nth(1).expect("a script"), [""; 0])?;
    println!("finished: {}", task.is_finished());
    Ok(())
}

/// An application that never runs.
fn dropped_app() -> Outcome {
    let app = App::new()?;
    let told = Told("the task");
    app.local()?.spawn_local(async move { drop(told) }).detach();
    let event_loop = Python::attach(|py| app.event_loop(py).clone().unbind());
    drop(app);
    Ok(Python::attach(|py| {
        println!("closed: {}", event_loop.call_method0(py, "is_closed")?);
        PyResult::Ok(())
    })?)
}

/// A run in another thread than the main one, before there is a QCoreApplication.
fn other_thread() -> Outcome {
    Interpreter::new().start()?;
    thread::spawn(|| python::run(async { Ok(()) })).join().expect("no panic")
}

/// Several runs, one with a future that is not `Send` and an output that Python cannot have.
fn outputs() -> Outcome {
    struct Number(std::rc::Rc<u32>);
    let first = python::run(async {
        sleep(Duration::from_millis(1)).await;
        Ok(Number(std::rc::Rc::new(1)))
    })?;
    let second: String = python::run(async {
        let awake = Python::attach(|py| {
            into_future(py.import("asyncio")?.call_method1("sleep", (0.001, "awake"))?)
        })?;
        let awake = awake.await?;
        Python::attach(|py| awake.extract(py))
    })?;
    println!("{} {second}", first.0);
    Ok(())
}

fn rust_error() -> Outcome {
    python::run(async { Err(PyValueError::new_err("from Rust")) })
}

fn exit_code() -> Outcome {
    python::run(async { Err(PySystemExit::new_err(5)) })
}

/// Panics while an asyncio task waits.
fn panicking() -> Outcome {
    let code = c"import asyncio
async def wait():
    try:
        await asyncio.Event().wait()
    finally:
        print('the task is cancelled')
async def main():
    global task
    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
";
    python::run(async {
        Python::attach(|py| into_future(call(py, code, "main")?))?.await?;
        panic!("out of order")
    })
}

/// What `code` defines as `name`, called.
fn call<'py>(py: Python<'py>, code: &CStr, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let names = PyDict::new(py);
    py.run(code, Some(&names), None)?;
    names.get_item(name)?.expect("it is defined").call0()
}

fn coroutine_error() -> Outcome {
    let code = c"async def main():\n    raise LookupError('from Python')\n";
    python::run(async {
        Python::attach(|py| into_future(call(py, code, "main")?))?.await.map(drop)
    })
}

/// The end of a run finds a task, an async generator and a Rust task that are not done.
fn left_over_tasks() -> Outcome {
    let code = c"import asyncio
async def wait():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        print('the task is cancelled', flush=True)
async def numbers():
    try:
        yield 1
    finally:
        print('the generator is closed', flush=True)
async def main():
    global task, generator
    task = asyncio.create_task(wait())
    generator = numbers()
    await anext(generator)
    await asyncio.sleep(0)
";
    python::run(async {
        Python::attach(|py| into_future(call(py, code, "main")?))?.await?;
        let told = Told("the Rust task");
        spawn_local(async move {
            pending::<()>().await;
            drop(told);
        })
        .detach();
        Ok(())
    })
}

/// The future fails, and then a task that is cancelled.
fn two_errors() -> Outcome {
    let code = c"import asyncio
async def wait():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise SystemExit(6) from None
async def main():
    global task
    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
";
    let outcome = python::run(async {
        Python::attach(|py| into_future(call(py, code, "main")?))?.await?;
        Err(PyValueError::new_err("from Rust"))
    });
    if let Err(Error::Python(error)) = &outcome {
        let context = Python::attach(|py| error.context(py).map(|context| context.to_string()));
        println!("{error}, after {context:?}");
    }
    outcome
}

/// The application quits.
fn quit() -> Outcome {
    let outcome: Result<(), Error> = python::run(async {
        let _told = Told("the future");
        Application::quit();
        pending().await
    });
    println!("{}", outcome.as_ref().expect_err("the future has no end"));
    outcome
}

/// Waits for Ctrl-C.
fn interrupted() -> Outcome {
    python::run(async {
        let _told = Told("the future");
        println!("ready");
        pending().await
    })
}

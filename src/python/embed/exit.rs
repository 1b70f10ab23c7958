//! The end of a program that embeds an interpreter.

use std::process::ExitCode;

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::ffi;
use pyo3::prelude::*;

use super::interpreter::{Error, is_starter};

/// What a shell reports of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;
/// Python's own exit code when output cannot be flushed.
const NOT_FLUSHED: u8 = 120;

/// Ends the program as the command `python` ends: an exception is printed, threads are waited for,
/// functions of `atexit` are called, what was printed is flushed, and `SystemExit` decides on the
/// exit code. For the last line of `main`.
///
/// ```no_run
/// use std::process::ExitCode;
/// use qtloop::python;
///
/// fn main() -> ExitCode {
///     python::finish(python::run_script("app.py", std::env::args_os().skip(1)))
/// }
/// ```
///
/// The interpreter has ended then, unless another thread started it or this is called while Python
/// code runs. No Python object may be used after that; to drop one is fine.
pub fn finish(outcome: Result<(), Error>) -> ExitCode {
    let code = match outcome {
        Ok(()) => 0,
        Err(Error::Python(error)) => Python::attach(|py| report(py, error)),
        Err(error) => {
            eprintln!("{error}");
            1
        }
    };
    ExitCode::from(if end() { code } else { NOT_FLUSHED })
}

/// Prints an exception as the end of a program does, and gives the exit code.
fn report(py: Python<'_>, error: PyErr) -> u8 {
    if error.is_instance_of::<PySystemExit>(py) {
        return exit_code(py, &error).unwrap_or(1);
    }
    let is_interrupt = error.is_instance_of::<PyKeyboardInterrupt>(py);
    if !matches!(print(py, &error), Ok(true)) {
        error.print(py);
    }
    if is_interrupt { INTERRUPTED } else { 1 }
}

/// Prints an exception as `sys.excepthook` does, if nobody has replaced that; whether it was done.
/// Up to Python 3.12 the hook itself shows only lines of files, and none of the package that this
/// program carries.
fn print(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let sys = py.import("sys")?;
    let is_stock = sys.getattr("excepthook")?.is(sys.getattr("__excepthook__")?);
    if is_stock {
        py.import("traceback")?.call_method1("print_exception", (error.value(py),))?;
    }
    Ok(is_stock)
}

/// The code of a `SystemExit`: a number, of which the system takes 8 bits, nothing, or a text to
/// print.
fn exit_code(py: Python<'_>, error: &PyErr) -> PyResult<u8> {
    let code = error.value(py).getattr("code")?;
    if code.is_none() {
        return Ok(0);
    }
    if let Ok(number) = code.extract::<i64>() {
        return Ok(number.to_le_bytes()[0]);
    }
    eprintln!("{}", code.str()?);
    Ok(1)
}

/// Ends the interpreter if that is ours to do; whether all that was printed has been flushed.
fn end() -> bool {
    // SAFETY: may be asked at any time.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return true;
    }
    // SAFETY: as above.
    let is_inside = unsafe { ffi::PyGILState_Check() } != 0;
    if is_inside || !is_starter() {
        return Python::attach(flush).is_ok();
    }
    // SAFETY: the interpreter runs, and this is its main thread, outside of all Python code. Nobody
    // of ours has the GIL on this thread.
    unsafe {
        ffi::PyGILState_Ensure();
        ffi::Py_FinalizeEx() == 0
    }
}

/// Writes what was printed and is still in a buffer: nobody else does if the interpreter is never
/// ended.
pub fn flush(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["stdout", "stderr"] {
        let stream = sys.getattr(name)?;
        if !stream.is_none() {
            stream.call_method0("flush")?;
        }
    }
    Ok(())
}

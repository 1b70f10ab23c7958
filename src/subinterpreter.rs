//! Our modules belong to one interpreter.

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Checks that the main interpreter is the one that imports `module`.
///
/// What a process has once, such as the classes of a module of ours and what they have looked up in
/// asyncio, would otherwise be those of whichever interpreter came first, and wrong in all others.
///
/// # Errors
/// `ImportError` if it is another.
pub(crate) fn refuse(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: called with an interpreter attached; both return a pointer that is merely compared.
    let is_main = unsafe { ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main() };
    if is_main {
        return Ok(());
    }
    let name = module.name()?;
    Err(PyImportError::new_err(format!(
        "{name} can only be imported in the main interpreter, not in a subinterpreter"
    )))
}

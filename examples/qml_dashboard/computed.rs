//! Numbers that Python computes, as a stream.

use std::ffi::CString;

use futures::{Stream, stream};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use qtloop::python::into_future;

/// What the asynchronous generator in `computed.py` yields. Dropped while it computes, its task is
/// cancelled.
pub fn numbers() -> PyResult<impl Stream<Item = PyResult<f64>>> {
    let generator = Python::attach(|py| {
        let code = CString::new(include_str!("computed.py"))?;
        let module = PyModule::from_code(py, &code, c"computed.py", c"computed")?;
        module.getattr("numbers")?.call0().map(Bound::unbind)
    })?;
    Ok(stream::try_unfold(generator, next))
}

/// The next number, with what gives the one after.
async fn next(generator: Py<PyAny>) -> PyResult<Option<(f64, Py<PyAny>)>> {
    let step = Python::attach(|py| into_future(generator.bind(py).call_method0("__anext__")?))?;
    let outcome = step.await;
    Python::attach(|py| match outcome {
        Ok(number) => Ok(Some((number.extract(py)?, generator))),
        Err(error) if error.is_instance_of::<PyStopAsyncIteration>(py) => Ok(None),
        Err(error) => Err(error),
    })
}

//! The methods of the engine that Python code or the stock class calls.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyMemoryView, PyTuple};

use super::engine::{Engine, This};
use super::names::Object;
use super::scratch;
use super::{reading, writing};

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Engine {
        Engine::default()
    }

    /// For transports that are not ours.
    fn get_buffer<'py>(slf: &This<'py>, _n: isize) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let view = slf.getattr(intern!(py, "_ssl_buffer_view"))?;
        if view.len()? > 0 {
            return Ok(view);
        }
        let memory = PyByteArray::new_with(py, scratch::SIZE, |_| Ok(()))?;
        let view = PyMemoryView::from(memory.as_any())?.into_any();
        slf.setattr(intern!(py, "_ssl_buffer"), memory)?;
        slf.setattr(intern!(py, "_ssl_buffer_view"), &view)?;
        Ok(view)
    }

    fn buffer_updated(slf: &This<'_>, nbytes: isize) -> PyResult<()> {
        reading::buffer_updated(slf, nbytes)
    }

    #[pyo3(name = "_do_read")]
    fn do_read(slf: &This<'_>) -> PyResult<()> {
        reading::do_read(slf, None)
    }

    #[pyo3(name = "_control_ssl_reading")]
    fn control_ssl_reading(slf: &This<'_>) -> PyResult<()> {
        reading::control(slf)
    }

    #[pyo3(name = "_get_read_buffer_size")]
    fn get_read_buffer_size(slf: &This<'_>) -> PyResult<usize> {
        slf.get().pending(slf.py(), Object::Incoming)
    }

    #[pyo3(name = "_write_appdata")]
    fn write_appdata(slf: &This<'_>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        writing::write_all(slf, list_of_data)
    }

    #[pyo3(name = "_do_write")]
    fn do_write(slf: &This<'_>) -> PyResult<()> {
        writing::do_write(slf)
    }

    #[pyo3(name = "_process_outgoing")]
    fn process_outgoing(slf: &This<'_>) -> PyResult<()> {
        writing::process_outgoing(slf)
    }

    #[pyo3(name = "_control_app_writing")]
    fn control_app_writing(slf: &This<'_>) -> PyResult<()> {
        writing::control(slf, None)
    }

    #[pyo3(name = "_get_write_buffer_size")]
    fn get_write_buffer_size(slf: &This<'_>) -> PyResult<isize> {
        writing::size(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(&self) {
        self.clear();
    }
}

//! Arguments of Qt's signals, for Python.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::qt::Value;

/// What Python has for it: `None`, a bool, an int, a float, a str, bytes, a list; an object's
/// address as an int, from which a binding makes its wrapper (`sip.wrapinstance`,
/// `shiboken6.wrapInstance`).
///
/// So a Python coroutine awaits a signal of Qt's: [`future_into_py`](crate::python::future_into_py)
/// of a future of its arguments.
impl<'py> IntoPyObject<'py> for Value {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    /// # Errors
    /// `TypeError` for a value of another type.
    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Value::Null => Ok(py.None().into_bound(py)),
            Value::Bool(value) => value.into_bound_py_any(py),
            Value::Int(value) => value.into_bound_py_any(py),
            Value::UInt(value) => value.into_bound_py_any(py),
            Value::Double(value) => value.into_bound_py_any(py),
            Value::String(value) => value.into_bound_py_any(py),
            Value::Bytes(value) => Ok(PyBytes::new(py, &value).into_any()),
            Value::Object(address) => address.addr().into_bound_py_any(py),
            Value::List(values) => values.into_bound_py_any(py),
            Value::Other(name) => {
                Err(PyTypeError::new_err(format!("Python has nothing for a {name}")))
            }
        }
    }
}

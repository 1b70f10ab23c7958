//! The methods of Python's `ssl` that are called for every record.

use pyo3::intern;
use pyo3::prelude::*;

use super::stock::stock;

/// Bound methods, looked up once.
#[derive(Default)]
pub struct Calls {
    /// Of the BIO with data that came.
    pub take_in: Option<Py<PyAny>>,
    /// Of the BIO with data to be sent.
    pub take_out: Option<Py<PyAny>>,
    /// Of the TLS object.
    pub read: Option<Py<PyAny>>,
    pub write: Option<Py<PyAny>>,
    pub pending: Option<Py<PyAny>>,
}

impl Calls {
    pub fn set_ssl_object(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = object.py();
        let inner = inner(object)?;
        let method = |name| inner.getattr(name).map(|method| Some(method.unbind()));
        self.read = method(intern!(py, "read"))?;
        self.write = method(intern!(py, "write"))?;
        self.pending = method(intern!(py, "pending"))?;
        Ok(())
    }

    pub fn all(&self) -> [&Option<Py<PyAny>>; 5] {
        [&self.take_in, &self.take_out, &self.read, &self.write, &self.pending]
    }
}

/// The object written in C: the methods of `ssl.SSLObject` do nothing but call its methods. A class
/// of the program may do more, so its own methods are called.
fn inner<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    if !object.get_type().is(stock(py)?.ssl_object.bind(py)) {
        return Ok(object.clone());
    }
    object.getattr(intern!(py, "_sslobj"))
}

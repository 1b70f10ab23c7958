//! The Rust methods of the program's transport of a TLS connection.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyType};

use super::engine::Engine;
use super::stock::stock;
use super::writing;
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::border::guard;
use crate::asyncio::class::methods::{Definitions, add_methods, fast};

/// The class that Python's messages name.
const CLASS: &str = "_SSLProtocolTransport";

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[fast(
    c"write",
    call_write,
    c"write($self, data)\n--\n\n\
    Encrypt bytes-like data, and write it now as far as there is room and the rest later.",
)]);

/// Adds the methods to a subclass of asyncio's transport of TLS connections.
#[pyfunction]
pub fn add_tls_methods(class_: &Bound<'_, PyType>) -> PyResult<()> {
    add_methods(class_, &METHODS)
}

unsafe extern "C" fn call_write(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (this, arguments) = unsafe {
            (
                Bound::from_borrowed_ptr(py, this),
                Arguments::new(CLASS, c"write", args, count, keywords),
            )
        };
        write(&this, &arguments.only(py, "data")?)?;
        Ok(py.None().into_ptr())
    })
}

fn write(this: &Bound<'_, PyAny>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = this.py();
    let protocol = this.getattr(intern!(py, "_ssl_protocol"))?;
    match protocol.cast::<Engine>() {
        Ok(engine) if is_bytes_like(data) => {
            let data = writing::in_bytes(data)?;
            let len = data.len()?;
            if len == 0 { Ok(()) } else { writing::write(engine, &data, len) }
        }
        // The errors of the stock class.
        _ => {
            let stock = stock(py)?.transport.bind(py);
            stock.call_method1(intern!(py, "write"), (this, data)).map(drop)
        }
    }
}

fn is_bytes_like(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyBytes>()
        || data.is_instance_of::<PyByteArray>()
        || data.is_instance_of::<PyMemoryView>()
}

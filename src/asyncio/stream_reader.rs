//! Data for a `StreamReader` goes straight to its buffer. This does what `StreamReader.feed_data`
//! does, without a bytes object and without the Python calls in between.
//!
//! **Gain**: without it the echo of ten pairs of streams in one process takes 3.8 % more
//! instructions (callgrind, CPython 3.13; docs/performance.md has the table). It is safe because it
//! is done only for asyncio's own classes ([`is_for_streams`], [`Reader::of`]): a subclass gets its
//! calls.

use std::io;

use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyByteArray, PyType, PyWeakrefMethods, PyWeakrefReference};

struct Classes {
    protocol: Py<PyType>,
    reader: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let streams = py.import("asyncio.streams")?;
        let class = |name| -> PyResult<Py<PyType>> {
            Ok(streams.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Classes { protocol: class("StreamReaderProtocol")?, reader: class("StreamReader")? })
    })
}

/// Whether the protocol is asyncio's own for streams. A subclass may do something of its own with
/// what arrives.
pub fn is_for_streams(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(protocol.is_exact_instance(classes(protocol.py())?.protocol.bind(protocol.py())))
}

/// A reader that takes data, and its buffer.
pub struct Reader<'py> {
    reader: Bound<'py, PyAny>,
    buffer: Bound<'py, PyByteArray>,
}

impl<'py> Reader<'py> {
    /// The reader of a protocol for streams. `None` if the reader is gone, is at its end, or is not
    /// asyncio's own class. Then the protocol is called as any other.
    pub fn of(protocol: &Bound<'py, PyAny>) -> PyResult<Option<Reader<'py>>> {
        let py = protocol.py();
        let reference = protocol.getattr(intern!(py, "_stream_reader_wr"))?;
        let Some(reader) =
            reference.cast::<PyWeakrefReference>().ok().and_then(PyWeakrefMethods::upgrade)
        else {
            return Ok(None);
        };
        let is_plain = reader.is_exact_instance(classes(py)?.reader.bind(py));
        if !is_plain || reader.getattr(intern!(py, "_eof"))?.is_truthy()? {
            return Ok(None);
        }
        let buffer = reader.getattr(intern!(py, "_buffer"))?.cast_into::<PyByteArray>().ok();
        Ok(buffer.map(|buffer| Reader { reader, buffer }))
    }

    /// Appends to the buffer what `receive` writes into the memory that is lent to it. 0 means the
    /// end of the stream.
    pub fn receive(
        &self,
        scratch: &mut [u8],
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<PyResult<usize>> {
        let count = receive(scratch)?;
        Ok(self.append(&scratch[..count]).map(|()| count))
    }

    /// Appends data to the buffer.
    ///
    /// # Errors
    /// `MemoryError`, or `BufferError` while somebody looks at the buffer.
    pub fn append(&self, data: &[u8]) -> PyResult<()> {
        if data.is_empty() {
            return Ok(());
        }
        let len = self.buffer.len();
        self.buffer.resize(len + data.len())?;
        // SAFETY: nothing else runs that could resize it or look at it: this holds the GIL and
        // calls nobody.
        let buffer = unsafe { self.buffer.as_bytes_mut() };
        buffer[len..].copy_from_slice(data);
        Ok(())
    }

    /// Wakes the coroutine that waits for data, and pauses the transport if there is too much.
    pub fn data_has_come(&self) -> PyResult<()> {
        let (py, reader) = (self.reader.py(), &self.reader);
        let waiter = reader.getattr(intern!(py, "_waiter"))?;
        if !waiter.is_none() {
            reader.setattr(intern!(py, "_waiter"), py.None())?;
            if !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        let limit: usize = reader.getattr(intern!(py, "_limit"))?.extract()?;
        if self.buffer.len() <= limit.saturating_mul(2)
            || reader.getattr(intern!(py, "_paused"))?.is_truthy()?
        {
            return Ok(());
        }
        let transport = reader.getattr(intern!(py, "_transport"))?;
        if !transport.is_none() {
            match transport.call_method0(intern!(py, "pause_reading")) {
                Ok(_) => reader.setattr(intern!(py, "_paused"), PyBool::new(py, true))?,
                // The transport cannot pause. It is not asked again.
                Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                    reader.setattr(intern!(py, "_transport"), py.None())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

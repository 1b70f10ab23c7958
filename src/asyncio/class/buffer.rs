//! The memory of Python's bytes-like objects.

use std::collections::TryReserveError;
use std::mem::MaybeUninit;

use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

/// The memory of a bytes-like object, in one piece. The object can neither move nor free it while
/// this exists.
pub struct View(Box<ffi::Py_buffer>);

impl View {
    fn new(object: &Bound<'_, PyAny>, flags: std::ffi::c_int) -> PyResult<View> {
        let mut buffer = Box::new(MaybeUninit::<ffi::Py_buffer>::uninit());
        // SAFETY: fills the buffer, or fails with an exception set.
        unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), buffer.as_mut_ptr(), flags) != 0 {
                return Err(PyErr::fetch(object.py()));
            }
            Ok(View(Box::from_raw(Box::into_raw(buffer).cast())))
        }
    }

    /// # Errors
    /// As `memoryview(object)`; `BufferError` if it is in several pieces.
    pub fn readable(object: &Bound<'_, PyAny>) -> PyResult<View> {
        View::new(object, ffi::PyBUF_SIMPLE)
    }

    /// # Errors
    /// As [`readable`](View::readable), and if it cannot be written to.
    pub fn writable(object: &Bound<'_, PyAny>) -> PyResult<View> {
        View::new(object, ffi::PyBUF_WRITABLE)
    }

    /// The object that provides the memory. The view has a reference to it, which the garbage
    /// collector must see.
    pub fn exporter(&self) -> *mut ffi::PyObject {
        self.0.obj
    }

    pub fn as_slice(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps `len` bytes there until the view is released; only the GIL's
        // holder writes to them.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len as usize) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.0.len == 0 {
            return &mut [];
        }
        // SAFETY: as above, and made by `writable` wherever this is called.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by `PyObject_GetBuffer`. Views are dropped by functions that hold the GIL.
        unsafe { ffi::PyBuffer_Release(&mut *self.0) };
    }
}

/// What a transport is given to write.
pub enum Data<'a, 'py> {
    /// The object cannot change, so it is kept as it is.
    Bytes(&'a Bound<'py, PyBytes>),
    /// The object may change, so what cannot be written at once is copied.
    View(View),
}

impl<'a, 'py> Data<'a, 'py> {
    /// # Errors
    /// asyncio's `TypeError` for what is not bytes-like; `BufferError` for memory in several
    /// pieces.
    pub fn new(object: &'a Bound<'py, PyAny>) -> PyResult<Data<'a, 'py>> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Data::Bytes(bytes));
        }
        Data::check(object)?;
        View::readable(object).map(Data::View)
    }

    /// # Errors
    /// asyncio's `TypeError` for what is not bytes-like.
    pub fn check(object: &Bound<'_, PyAny>) -> PyResult<()> {
        if object.is_instance_of::<PyBytes>()
            || object.is_instance_of::<PyByteArray>()
            || object.is_instance_of::<PyMemoryView>()
        {
            return Ok(());
        }
        let class = object.get_type().name()?;
        let message = format!("data argument must be a bytes-like object, not {}", class.repr()?);
        Err(PyTypeError::new_err(message))
    }

    pub fn as_slice(&self) -> &[u8] {
        match self {
            Data::Bytes(bytes) => bytes.as_bytes(),
            Data::View(view) => view.as_slice(),
        }
    }

    /// The data from `start` on, as a chunk to keep, and the place in the chunk where it begins.
    ///
    /// # Errors
    /// `MemoryError` if a copy is needed and there is no memory for it.
    pub fn into_chunk(self, start: usize) -> PyResult<(Chunk, usize)> {
        match self {
            Data::Bytes(bytes) => Ok((Chunk::Bytes(bytes.clone().unbind()), start)),
            Data::View(view) => Ok((Chunk::copy(&view.as_slice()[start..])?, 0)),
        }
    }
}

/// A bytes object with a copy of `data`.
///
/// # Errors
/// `MemoryError`, where pyo3's own function panics.
pub fn to_bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: the slice's memory and length, which is no more than `isize::MAX`; a new reference to
    // bytes, or null with an exception set.
    unsafe {
        let bytes =
            ffi::PyBytes_FromStringAndSize(data.as_ptr().cast(), data.len() as ffi::Py_ssize_t);
        Ok(Bound::from_owned_ptr_or_err(py, bytes)?.cast_into_unchecked())
    }
}

/// The Python exception for an allocation that failed.
pub fn no_memory(_: TryReserveError) -> PyErr {
    PyMemoryError::new_err(())
}

/// Data that waits to be written.
pub enum Chunk {
    /// The object that the program has written.
    Bytes(Py<PyBytes>),
    /// A copy: the program may have changed its object since.
    Copy(Vec<u8>),
}

impl Chunk {
    /// # Errors
    /// `MemoryError`.
    pub fn copy(data: &[u8]) -> PyResult<Chunk> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(data.len()).map_err(no_memory)?;
        copy.extend_from_slice(data);
        Ok(Chunk::Copy(copy))
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            // SAFETY: whoever has a transport's data holds the GIL. (Bytes do not change, so
            // nothing else depends on it.)
            Chunk::Bytes(bytes) => bytes.as_bytes(unsafe { Python::assume_attached() }),
            Chunk::Copy(copy) => copy,
        }
    }
}

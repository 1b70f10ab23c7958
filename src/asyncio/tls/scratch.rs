//! Memory that is lent to Python's `ssl` for one call, without an object for each.

use std::cell::Cell;
use std::ffi::c_int;
use std::mem;
use std::ops::Range;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::asyncio::class::buffer::no_memory;

/// The most that is read from a socket at once, as in asyncio.
pub const SIZE: usize = 256 * 1024;

/// The most bytes of plain text in a TLS record.
const RECORD: usize = 16 * 1024;

/// Memory larger than this is not kept.
const KEPT: usize = 2 * SIZE;

/// An object with Python's buffer protocol. Its memory belongs to somebody else, for one call.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Window {
    start: Cell<*mut u8>,
    len: Cell<usize>,
    is_readonly: Cell<bool>,
    /// The number of views.
    views: Cell<usize>,
}

// SAFETY: the module declares that it needs the GIL, and the cells are touched with it held, for
// moments in which nothing else runs.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

#[pymethods]
impl Window {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        if this.start.get().is_null() {
            // SAFETY: Python's own structure; an exporter that fails has to empty this field.
            unsafe { (*view).obj = ptr::null_mut() };
            return Err(PyBufferError::new_err("nothing is lent"));
        }
        // SAFETY: Python's own structure, and memory that is there until the call is over, which
        // waits for the views; fails with an exception set.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                this.start.get().cast(),
                this.len.get() as ffi::Py_ssize_t,
                c_int::from(this.is_readonly.get()),
                flags,
            )
        };
        if filled < 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        this.views.set(this.views.get() + 1);
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.views.set(self.views.get() - 1);
    }
}

impl Window {
    fn new(py: Python<'_>) -> PyResult<Bound<'_, Window>> {
        let window = Window {
            start: Cell::new(ptr::null_mut()),
            len: Cell::new(0),
            is_readonly: Cell::new(false),
            views: Cell::new(0),
        };
        Bound::new(py, window)
    }

    /// Shows memory to Python during a call. Returns the result, and whether nobody has a view of
    /// the memory afterwards.
    fn show<R>(
        this: &Bound<'_, Window>,
        start: *mut u8,
        len: usize,
        is_readonly: bool,
        call: impl FnOnce(&Bound<'_, PyAny>) -> R,
    ) -> (R, bool) {
        let window = this.get();
        window.is_readonly.set(is_readonly);
        window.len.set(len);
        window.start.set(start);
        let result = call(this.as_any());
        window.start.set(ptr::null_mut());
        (result, window.views.get() == 0)
    }
}

/// Shows the pieces of somebody's data, one after the other, until everything is taken. `take`
/// returns how much of a piece it took. Returns how much was taken in all, and what stopped it.
pub fn take_in_pieces(
    py: Python<'_>,
    data: &[u8],
    mut take: impl FnMut(&Bound<'_, PyAny>) -> PyResult<usize>,
) -> (usize, PyResult<()>) {
    let mut taken = 0;
    let window = match Window::new(py) {
        Ok(window) => window,
        Err(error) => return (0, Err(error)),
    };
    while taken < data.len() {
        let rest = &data[taken..];
        let (count, is_free) =
            Window::show(&window, rest.as_ptr().cast_mut(), rest.len(), true, &mut take);
        if !is_free {
            // Nothing in Python's `ssl` does that. A view of memory that may be freed would crash
            // later.
            return (taken, Err(PyBufferError::new_err("a view of lent memory was kept")));
        }
        match count {
            Ok(count) => taken += count.min(rest.len()),
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, Ok(()))
}

/// Memory that a reader has for itself as long as it needs it. Another reader, in a nested loop,
/// has other memory.
pub struct Scratch {
    memory: Vec<u8>,
    window: Option<Py<Window>>,
}

/// The memory that was used last.
static SPARE: Mutex<Option<Scratch>> = Mutex::new(None);

impl Scratch {
    /// # Errors
    /// `MemoryError`.
    pub fn take(py: Python<'_>) -> PyResult<Scratch> {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).take();
        match spare {
            Some(spare) => Ok(spare),
            None => {
                let mut scratch = Scratch { memory: Vec::new(), window: None };
                scratch.window = Some(Window::new(py)?.unbind());
                scratch.reserve(SIZE)?;
                Ok(scratch)
            }
        }
    }

    fn reserve(&mut self, len: usize) -> PyResult<()> {
        if self.memory.len() < len {
            self.memory.try_reserve_exact(len - self.memory.len()).map_err(no_memory)?;
            self.memory.resize(len, 0);
        }
        Ok(())
    }

    /// Makes sure that there is room for a record behind the first `filled` bytes.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn reserve_record(&mut self, filled: usize) -> PyResult<()> {
        if self.memory.len() >= filled + RECORD {
            return Ok(());
        }
        self.reserve((2 * self.memory.len()).max(filled + RECORD))
    }

    pub fn len(&self) -> usize {
        self.memory.len()
    }

    pub fn filled(&self, count: usize) -> &[u8] {
        &self.memory[..count]
    }

    /// The part that data from a socket is read into.
    pub fn for_socket(&mut self) -> &mut [u8] {
        &mut self.memory[..SIZE]
    }

    /// Lends a part of the memory to a Python call, as an object.
    pub fn lend<R>(
        &mut self,
        py: Python<'_>,
        range: Range<usize>,
        call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>,
    ) -> PyResult<R> {
        let window = match &self.window {
            Some(window) => window.bind(py).clone(),
            None => Window::new(py)?,
        };
        let part = &mut self.memory[range];
        let (result, is_free) = Window::show(&window, part.as_mut_ptr(), part.len(), false, call);
        if !is_free {
            // Nothing in Python's `ssl` does that. The memory is then left to the holder of the
            // view.
            let len = self.memory.len();
            mem::forget(mem::take(&mut self.memory));
            self.window = None;
            self.reserve(len)?;
            return Err(PyBufferError::new_err("a view of lent memory was kept"));
        }
        result
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.window.is_none() || self.memory.len() < SIZE || self.memory.len() > KEPT {
            return;
        }
        let own = Scratch { memory: mem::take(&mut self.memory), window: self.window.take() };
        let before = SPARE.lock().unwrap_or_else(PoisonError::into_inner).replace(own);
        if let Some(before) = before {
            let mut before = before;
            before.memory = Vec::new(); // So that it is not kept in its turn.
        }
    }
}

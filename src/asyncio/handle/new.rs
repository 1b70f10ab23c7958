//! New handles.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::layout::{Offsets, types};
use crate::asyncio::class::memory::{Spares, allocate, member};
use crate::core::TimerKey;

/// The parts of a new handle.
pub struct HandleParts<'a, 'py> {
    /// The function.
    pub callback: &'a Bound<'py, PyAny>,
    /// Its positional arguments.
    pub args: Bound<'py, PyTuple>,
    /// The loop that will call it.
    pub event_loop: &'a Bound<'py, PyAny>,
    /// The context it will run in.
    pub context: Bound<'py, PyAny>,
}

impl<'py> HandleParts<'_, 'py> {
    /// Fills the members of a new handle.
    ///
    /// # Safety
    /// `handle` is of a known class and its members are null.
    unsafe fn fill(self, handle: *mut ffi::PyObject, offsets: &Offsets) {
        let py = self.args.py();
        // SAFETY: the caller's promise; each value is an owned reference.
        unsafe {
            *member(handle, offsets.callback) = self.callback.clone().into_ptr();
            *member(handle, offsets.args) = self.args.into_ptr();
            *member(handle, offsets.event_loop) = self.event_loop.clone().into_ptr();
            *member(handle, offsets.context) = self.context.into_ptr();
            *member(handle, offsets.cancelled) =
                pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            *member(handle, offsets.source_traceback) = py.None().into_ptr();
            *member(handle, offsets.repr) = py.None().into_ptr();
        }
    }

    /// Makes a `Handle`. The garbage collector does not know it yet: [`queue`](super::queue) or
    /// [`track`](super::track) must follow.
    #[inline]
    pub fn into_handle(self) -> PyResult<Bound<'py, PyAny>> {
        let types = types(self.args.py())?;
        self.into_handle_of(&types.handle, &types.spare_handles)
    }

    /// Makes an instance of `class`, one of our classes with the members of a `Handle`. Members
    /// that the class adds are null.
    #[inline]
    fn into_handle_of(self, class: &Py<PyType>, spares: &Spares) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let offsets = &types(py)?.offsets;
        // SAFETY: the class is ours, and so are its spares. The handle is owned by us and its
        // members are null: a spare is emptied.
        unsafe {
            let handle = allocate(py, class.as_ptr().cast(), Some(spares))?;
            self.fill(handle, offsets);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }

    /// Makes a `TimerHandle` that is due at `when`, a number. The garbage collector does not know
    /// it yet either.
    pub fn into_timer(self, when: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        // SAFETY: as above; the key's place is inside the handle and aligned.
        unsafe {
            let handle = allocate(py, types.timer.as_ptr().cast(), Some(&types.spare_timers))?;
            self.fill(handle, &types.offsets);
            *member(handle, types.offsets.when) = when.clone().into_ptr();
            *member(handle, types.offsets.scheduled) =
                pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            handle.byte_add(types.offsets.key).cast::<TimerKey>().write(TimerKey::NONE);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }
    /// Makes a handle that any thread may cancel. Before Python 3.14 every handle is one.
    pub fn into_threadsafe_handle(self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        let Some(threadsafe) = &types.threadsafe else { return self.into_handle() };
        let lock = threadsafe.new_lock.bind(py).call0()?;
        let handle = self.into_handle_of(&threadsafe.class, &threadsafe.spares)?;
        // SAFETY: the object is new and of this class, whose member is null.
        unsafe { *member(handle.as_ptr(), threadsafe.lock) = lock.into_ptr() };
        Ok(handle)
    }
}

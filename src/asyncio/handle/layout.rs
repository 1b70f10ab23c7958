//! What Rust knows of the classes: at which offsets an instance's members stand, and which objects
//! are instances.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::asyncio::class::memory::Spares;

/// Byte offsets of the stock handle's members.
#[derive(Clone, Copy)]
pub struct Offsets {
    pub callback: usize,
    pub args: usize,
    pub cancelled: usize,
    pub event_loop: usize,
    pub source_traceback: usize,
    pub repr: usize,
    pub context: usize,
    /// `TimerHandle` only.
    pub scheduled: usize,
    pub when: usize,
    /// Our `TimerHandle` only: where its [`TimerKey`] stands, which names nothing unless it waits.
    pub key: usize,
}

impl Offsets {
    /// The members that every handle has.
    #[inline]
    fn common(&self) -> [usize; 7] {
        [
            self.callback,
            self.args,
            self.cancelled,
            self.event_loop,
            self.source_traceback,
            self.repr,
            self.context,
        ]
    }
}

/// The classes, made when the module is imported.
pub struct Types {
    pub offsets: Offsets,
    pub handle: Py<PyType>,
    pub timer: Py<PyType>,
    /// The class of what `call_soon_threadsafe` returns, if this Python has one for that.
    pub threadsafe: Option<ThreadSafe>,
    pub stock_handle: Py<PyType>,
    pub stock_timer: Py<PyType>,
    pub spare_handles: Spares,
    pub spare_timers: Spares,
    pub newest: Newest,
    /// Where a handle and a timer keep their weak references; 0 if there can be none.
    pub weak_references: [isize; 2],
}

/// The handle that was queued last, until it leaves its queue: a borrowed reference, or null. See
/// [`queue`](super::queue).
pub struct Newest(pub Cell<*mut ffi::PyObject>);

// SAFETY: touched only with the GIL held (the module declares that it uses the GIL), for moments in
// which nothing else runs.
unsafe impl Send for Newest {}
// SAFETY: as above.
unsafe impl Sync for Newest {}

impl Newest {
    /// Forgets `object`, if that is the newest handle.
    pub fn forget(&self, object: *mut ffi::PyObject) {
        if ptr::eq(self.0.get(), object) {
            self.0.set(ptr::null_mut());
        }
    }
}

pub static TYPES: PyOnceLock<Types> = PyOnceLock::new();

/// The classes.
///
/// # Errors
/// `ImportError` if they were not made: the module makes them when it is imported.
pub fn types(py: Python<'_>) -> PyResult<&Types> {
    TYPES.get(py).ok_or_else(|| PyImportError::new_err("qtloop._core was not imported"))
}

/// The class of handles that any thread may cancel, and what is needed to make one.
pub struct ThreadSafe {
    pub class: Py<PyType>,
    /// Where its lock stands.
    pub lock: usize,
    pub new_lock: Py<PyAny>,
    pub spares: Spares,
}

impl ThreadSafe {
    /// Whether the object is one of these.
    pub fn is_one(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.class.as_ptr().cast())
    }
}

impl Types {
    /// Whether the members of `object` stand at our offsets.
    pub fn knows(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        [&self.handle, &self.timer, &self.stock_handle, &self.stock_timer]
            .iter()
            .any(|known| ptr::eq(known.as_ptr().cast(), class))
            || self.is_threadsafe(object)
    }

    pub fn is_ours(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        ptr::eq(self.handle.as_ptr().cast(), class)
            || ptr::eq(self.timer.as_ptr().cast(), class)
            || self.is_threadsafe(object)
    }

    fn is_threadsafe(&self, object: *mut ffi::PyObject) -> bool {
        self.threadsafe.as_ref().is_some_and(|threadsafe| threadsafe.is_one(object))
    }

    /// Calls `visit` with the offset of each member of an object of ours, until one returns
    /// something else than 0. Every handle that is freed comes by here: no iterator, whose steps
    /// cost more than what is done in them.
    #[inline]
    pub fn each_member(
        &self,
        object: *mut ffi::PyObject,
        mut visit: impl FnMut(usize) -> c_int,
    ) -> c_int {
        for offset in self.offsets.common() {
            let outcome = visit(offset);
            if outcome != 0 {
                return outcome;
            }
        }
        // SAFETY: reads the type of a live object.
        if ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.handle.as_ptr().cast()) {
            return 0;
        }
        if self.is_our_timer(object) {
            let outcome = visit(self.offsets.when);
            return if outcome == 0 { visit(self.offsets.scheduled) } else { outcome };
        }
        let threadsafe = self.threadsafe.as_ref().filter(|threadsafe| threadsafe.is_one(object));
        threadsafe.map_or(0, |threadsafe| visit(threadsafe.lock))
    }

    /// Whether somebody has a weak reference to a handle of ours.
    pub fn has_weak_references(&self, object: *mut ffi::PyObject) -> bool {
        match self.weak_references[usize::from(self.is_our_timer(object))] {
            0 => false,
            // SAFETY: where instances of the class keep the list, which may be before the object.
            offset => unsafe {
                !object.byte_offset(offset).cast::<*mut ffi::PyObject>().read().is_null()
            },
        }
    }

    pub fn is_our_timer(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.timer.as_ptr().cast())
    }
}

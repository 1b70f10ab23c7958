//! The classes and where their members stand.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::memory::{clear, dealloc_handle, dealloc_timer, traverse};
use super::threadsafe::ThreadSafe;
use super::{cancel, reduce};
use crate::core::TimerKey;
use crate::py::extension::Table;

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
    /// Our `TimerHandle` only: where its [`TimerKey`] stands.
    pub key: usize,
}

impl Offsets {
    /// The members that every handle has.
    fn common(&self) -> [usize; 7] {
        [self.callback, self.args, self.cancelled, self.event_loop, self.source_traceback, self.repr, self.context]
    }
}

/// The classes, made when the module is imported.
pub struct Types {
    pub offsets: Offsets,
    pub handle: Py<PyType>,
    pub timer: Py<PyType>,
    /// The class of what `call_soon_threadsafe` returns, where that is one of its own.
    pub threadsafe: Option<ThreadSafe>,
    stock_handle: Py<PyType>,
    stock_timer: Py<PyType>,
    pub spare_handles: Spares,
    pub spare_timers: Spares,
    pub newest: Newest,
    /// Where a handle and a timer keep their weak references; 0 if there can be none.
    weak_references: [isize; 2],
}

/// The handle that was queued last, as long as it is: borrowed, or null. See [`queue`](super::queue).
pub struct Newest(pub Cell<*mut ffi::PyObject>);

// SAFETY: as for `Spares`.
unsafe impl Send for Newest {}
// SAFETY: as above.
unsafe impl Sync for Newest {}

impl Newest {
    /// If this one is it, there is none.
    pub fn forget(&self, object: *mut ffi::PyObject) {
        if ptr::eq(self.0.get(), object) {
            self.0.set(ptr::null_mut());
        }
    }
}

/// Memory of freed handles: untracked, emptied, with no reference to their type.
#[derive(Default)]
pub struct Spares(pub RefCell<Vec<*mut ffi::PyObject>>);

// SAFETY: touched only with the GIL held (the module declares that it uses the GIL), for moments in which nothing else runs.
unsafe impl Send for Spares {}
// SAFETY: as above.
unsafe impl Sync for Spares {}

pub static TYPES: PyOnceLock<Types> = PyOnceLock::new();

/// The classes.
pub fn types(py: Python<'_>) -> PyResult<&Types> {
    match TYPES.get(py) {
        Some(types) => Ok(types),
        None => TYPES.get_or_try_init(py, || Types::new(py)),
    }
}

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let types = types(py)?;
    module.add("Handle", types.handle.bind(py))?;
    if let Some(threadsafe) = &types.threadsafe {
        module.add("ThreadSafeHandle", threadsafe.class.bind(py))?;
    }
    module.add("TimerHandle", types.timer.bind(py))
}

impl Types {
    fn new(py: Python<'_>) -> PyResult<Types> {
        let events = py.import("asyncio.events")?;
        let stock_handle = events.getattr("Handle")?.cast_into::<PyType>()?;
        let stock_timer = events.getattr("TimerHandle")?.cast_into::<PyType>()?;
        let key = size(&stock_timer)?.next_multiple_of(align_of::<TimerKey>());
        let offsets = Offsets {
            callback: offset(&stock_handle, "_callback")?,
            args: offset(&stock_handle, "_args")?,
            cancelled: offset(&stock_handle, "_cancelled")?,
            event_loop: offset(&stock_handle, "_loop")?,
            source_traceback: offset(&stock_handle, "_source_traceback")?,
            repr: offset(&stock_handle, "_repr")?,
            context: offset(&stock_handle, "_context")?,
            scheduled: offset(&stock_timer, "_scheduled")?,
            when: offset(&stock_timer, "_when")?,
            key,
        };
        let handle = derive(&stock_handle, c"qtloop._core.Handle", size(&stock_handle)?, dealloc_handle, &METHODS)?;
        let timer = derive(
            &stock_timer,
            c"qtloop._core.TimerHandle",
            key + size_of::<Option<TimerKey>>(),
            dealloc_timer,
            &METHODS,
        )?;
        Ok(Types {
            offsets,
            weak_references: [&handle, &timer].map(|class| weak_references(class.bind(py))),
            handle,
            timer,
            threadsafe: ThreadSafe::new(&events)?,
            stock_handle: stock_handle.unbind(),
            stock_timer: stock_timer.unbind(),
            spare_handles: Spares::default(),
            spare_timers: Spares::default(),
            newest: Newest(Cell::new(ptr::null_mut())),
        })
    }

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

    /// The offsets of all members of an object of ours.
    pub fn members_of(&self, object: *mut ffi::PyObject) -> impl Iterator<Item = usize> {
        let more = if self.is_our_timer(object) {
            [Some(self.offsets.when), Some(self.offsets.scheduled)]
        } else {
            [
                self.threadsafe
                    .as_ref()
                    .filter(|threadsafe| threadsafe.is_one(object))
                    .map(|threadsafe| threadsafe.lock),
                None,
            ]
        };
        self.offsets.common().into_iter().chain(more.into_iter().flatten())
    }

    /// Whether somebody has a weak reference to a handle of ours.
    pub fn has_weak_references(&self, object: *mut ffi::PyObject) -> bool {
        match self.weak_references[usize::from(self.is_our_timer(object))] {
            0 => false,
            // SAFETY: where instances of the class keep the list, which may be before the object.
            offset => unsafe { !object.byte_offset(offset).cast::<*mut ffi::PyObject>().read().is_null() },
        }
    }

    pub fn is_our_timer(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.timer.as_ptr().cast())
    }
}

/// Where the instances of `class` keep their weak references.
fn weak_references(class: &Bound<'_, PyType>) -> isize {
    // SAFETY: reads a field of a live class.
    unsafe { (*class.as_type_ptr()).tp_weaklistoffset }
}

/// How many bytes an instance of `class` has.
pub fn size(class: &Bound<'_, PyType>) -> PyResult<usize> {
    class.getattr("__basicsize__")?.extract()
}

/// Where the member `name` of `class` stands.
pub fn offset(class: &Bound<'_, PyType>, name: &str) -> PyResult<usize> {
    let member = class.getattr("__dict__")?.get_item(name)?;
    let is_member = member.get_type().name()? == "member_descriptor";
    if !is_member {
        let message = format!("this Python's {} keeps {name} in an unknown way", class.name()?);
        return Err(PyImportError::new_err(message));
    }
    let descriptor = member.as_ptr().cast::<ffi::PyMemberDescrObject>();
    // SAFETY: `member` is a member descriptor, so it has this layout and its definition lives as long as the class.
    let definition = unsafe { *(*descriptor).d_member };
    Ok(definition.offset as usize)
}

/// Makes a subclass of `base` with `size` bytes an instance.
pub fn derive(
    base: &Bound<'_, PyType>,
    name: &'static CStr,
    size: usize,
    dealloc: ffi::destructor,
    methods: &'static Table<ffi::PyMethodDef>,
) -> PyResult<Py<PyType>> {
    // Where the weak references stand is part of the layout, and not inherited by itself on every version.
    const LAYOUT_FLAGS: u64 = 0b11 << 3;
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_methods, methods.0.as_ptr().cast_mut().cast()),
        slot(0, ptr::null_mut()),
    ];
    // SAFETY: reads the flags of a live class.
    let inherited = unsafe { ffi::PyType_GetFlags(base.as_type_ptr()) } as u64 & LAYOUT_FLAGS;
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size as c_int,
        itemsize: 0,
        flags: (flags | inherited) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots are well-formed and outlive the call; name and methods are static.
    let class = unsafe { ffi::PyType_FromSpecWithBases(&mut spec, base.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
    let class = unsafe { Bound::from_owned_ptr_or_err(base.py(), class) }?;
    class.setattr("__doc__", base.getattr("__doc__")?)?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

static METHODS: Table<ffi::PyMethodDef> = Table(&[
    ffi::PyMethodDef {
        ml_name: c"cancel".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: cancel },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"cancel($self, /)\n--\n\nCancel the callback. Cancelling twice, or after it has run, does nothing."
            .as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"__reduce_ex__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: reduce },
        ml_flags: ffi::METH_O,
        ml_doc: c"__reduce_ex__($self, protocol, /)\n--\n\nHelper for copy and pickle: the copy is a handle of asyncio's own."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

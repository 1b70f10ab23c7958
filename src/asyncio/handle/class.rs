//! Makes the classes of handles.

use std::cell::Cell;
use std::ffi::{CStr, c_ulong};
use std::ptr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::layout::{Newest, Offsets, TYPES, ThreadSafe, Types, types};
use super::memory::{clear, dealloc_handle, dealloc_threadsafe, dealloc_timer, traverse};
use crate::asyncio::class::border::guard;
use crate::asyncio::class::maker::{Slot, Spec, make as make_class};
use crate::asyncio::class::memory::Spares;
use crate::asyncio::class::methods::{Definitions, simple};
use crate::asyncio::python_half;
use crate::core::TimerKey;

/// The methods that the classes have of their own, each table ended by an empty entry. The methods
/// that cancel are handed down by `cancel.rs`, which stands above and knows the loop.
pub struct Methods {
    /// Of `Handle` and `TimerHandle`.
    pub handle: &'static Definitions<ffi::PyMethodDef>,
    /// Of `ThreadSafeHandle`.
    pub threadsafe: &'static Definitions<ffi::PyMethodDef>,
}

/// Makes the classes and adds them to the module.
pub fn register(module: &Bound<'_, PyModule>, methods: &Methods) -> PyResult<()> {
    let py = module.py();
    TYPES.get_or_try_init(py, || make(py, methods))?;
    let types = types(py)?;
    module.add("Handle", types.handle.bind(py))?;
    if let Some(threadsafe) = &types.threadsafe {
        module.add("ThreadSafeHandle", threadsafe.class.bind(py))?;
    }
    module.add("TimerHandle", types.timer.bind(py))
}

/// Makes the classes, with their own methods.
fn make(py: Python<'_>, methods: &Methods) -> PyResult<Types> {
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
    let handle = derive(
        &stock_handle,
        c"qtloop._core.Handle",
        size(&stock_handle)?,
        dealloc_handle,
        methods.handle,
    )?;
    let timer = derive(
        &stock_timer,
        c"qtloop._core.TimerHandle",
        key + size_of::<TimerKey>(),
        dealloc_timer,
        methods.handle,
    )?;
    Ok(Types {
        offsets,
        weak_references: [&handle, &timer].map(|class| weak_references(class.bind(py))),
        handle,
        timer,
        threadsafe: make_threadsafe(&events, methods)?,
        stock_handle: stock_handle.unbind(),
        stock_timer: stock_timer.unbind(),
        spare_handles: Spares::default(),
        spare_timers: Spares::default(),
        newest: Newest(Cell::new(ptr::null_mut())),
    })
}

/// `None` if `call_soon_threadsafe` of this Python returns a handle like any other.
fn make_threadsafe(
    events: &Bound<'_, PyModule>,
    methods: &Methods,
) -> PyResult<Option<ThreadSafe>> {
    let py = events.py();
    let Some(base) = events.getattr_opt("_ThreadSafeHandle")? else { return Ok(None) };
    let base = base.cast_into::<PyType>()?;
    Ok(Some(ThreadSafe {
        lock: offset(&base, "_lock")?,
        class: derive(
            &base,
            c"qtloop._core.ThreadSafeHandle",
            size(&base)?,
            dealloc_threadsafe,
            methods.threadsafe,
        )?,
        new_lock: py.import("threading")?.getattr("RLock")?.unbind(),
        spares: Spares::default(),
    }))
}

/// Where the instances of `class` keep their weak references.
fn weak_references(class: &Bound<'_, PyType>) -> isize {
    // SAFETY: reads a field of a live class.
    unsafe { (*class.as_type_ptr()).tp_weaklistoffset }
}

/// How many bytes an instance of `class` has.
fn size(class: &Bound<'_, PyType>) -> PyResult<usize> {
    class.getattr("__basicsize__")?.extract()
}

/// Where the member `name` of `class` stands.
fn offset(class: &Bound<'_, PyType>, name: &str) -> PyResult<usize> {
    let member = class.getattr("__dict__")?.get_item(name)?;
    let is_member = member.get_type().name()? == "member_descriptor";
    if !is_member {
        let message = format!("this Python's {} keeps {name} in an unknown way", class.name()?);
        return Err(PyImportError::new_err(message));
    }
    let descriptor = member.as_ptr().cast::<ffi::PyMemberDescrObject>();
    // SAFETY: `member` is a member descriptor, so it has this layout and its definition lives as
    // long as the class.
    let definition = unsafe { *(*descriptor).d_member };
    Ok(definition.offset as usize)
}

/// Makes a subclass of `base` with `size` bytes an instance.
fn derive(
    base: &Bound<'_, PyType>,
    name: &'static CStr,
    size: usize,
    dealloc: ffi::destructor,
    methods: &'static Definitions<ffi::PyMethodDef>,
) -> PyResult<Py<PyType>> {
    // The place of the weak references is part of the layout. Not every version of Python lets a
    // class inherit it by itself.
    const LAYOUT_FLAGS: c_ulong = 0b11 << 3;
    // SAFETY: reads the flags of a live class.
    let inherited = unsafe { ffi::PyType_GetFlags(base.as_type_ptr()) } & LAYOUT_FLAGS;
    let spec = Spec {
        name,
        bases: std::slice::from_ref(base),
        size,
        flags: inherited,
        methods,
        properties: None,
        places: None,
        slots: &[
            (ffi::Py_tp_dealloc, Slot::Dealloc(dealloc)),
            (ffi::Py_tp_traverse, Slot::Traverse(traverse)),
            (ffi::Py_tp_clear, Slot::Clear(clear)),
        ],
    };
    // SAFETY: the functions are for handles, whose members stand where the base has them; a timer's
    // key stands behind those.
    let class = unsafe { make_class(base.py(), &spec) }?;
    class.setattr("__doc__", base.getattr("__doc__")?)?;
    Ok(class.unbind())
}

/// `__reduce_ex__`, for the tables of methods.
pub const REDUCE: ffi::PyMethodDef = simple(
    c"__reduce_ex__",
    reduce,
    ffi::METH_O,
    c"__reduce_ex__($self, protocol, /)\n--\n\n\
        Helper for copy and pickle: the copy is a handle of asyncio's own.",
);

unsafe extern "C" fn reduce(
    handle: *mut ffi::PyObject,
    protocol: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of one of our classes, and a live argument.
        let arguments = unsafe {
            (Bound::from_borrowed_ptr(py, handle), Bound::from_borrowed_ptr(py, protocol))
        };
        python_half::hooks(py)?.call_method1("reduce_handle", arguments).map(Bound::into_ptr)
    })
}

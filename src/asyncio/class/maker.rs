//! Makes classes by C's API. Nothing else in the crate does.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::methods::Definitions;

/// The description of a class. Only Rust makes its instances, and they have the collector's header.
pub struct Spec<'a, 'py> {
    /// Its name, with its module.
    pub name: &'static CStr,
    /// Its bases; empty: `object`. They have one layout: that of the largest, which Python checks.
    pub bases: &'a [Bound<'py, PyType>],
    /// How many bytes an instance has.
    pub size: usize,
    /// Flags beside the usual ones.
    pub flags: c_ulong,
    /// Its methods, ended by an empty entry.
    pub methods: &'static Definitions<ffi::PyMethodDef>,
    /// Its properties, ended by an empty entry.
    pub properties: Option<&'static Definitions<ffi::PyGetSetDef>>,
    /// Where an instance keeps the list of its weak references and the dictionary of its
    /// attributes, if it is this class that adds them.
    pub places: Option<Places>,
    /// Python's slots and what fills each.
    pub slots: &'a [(c_int, Slot)],
}

/// Byte offsets in an instance.
#[derive(Clone, Copy)]
pub struct Places {
    pub weak_references: usize,
    pub attributes: usize,
}

/// What fills a slot.
pub enum Slot {
    Dealloc(ffi::destructor),
    Finalize(ffi::destructor),
    Traverse(ffi::traverseproc),
    Clear(ffi::inquiry),
    /// A function that takes an object and returns one: `tp_repr`, `tp_iternext`, `am_await`.
    Unary(ffi::unaryfunc),
    Send(ffi::sendfunc),
    Doc(&'static CStr),
}

impl Slot {
    fn as_ptr(&self) -> *mut c_void {
        match *self {
            Slot::Dealloc(function) | Slot::Finalize(function) => function as *mut c_void,
            Slot::Traverse(function) => function as *mut c_void,
            Slot::Clear(function) => function as *mut c_void,
            Slot::Unary(function) => function as *mut c_void,
            Slot::Send(function) => function as *mut c_void,
            Slot::Doc(text) => text.as_ptr().cast_mut().cast(),
        }
    }
}

/// Makes the class.
///
/// # Errors
/// What Python raises.
///
/// # Safety
/// The slots' functions, the methods and the properties fit instances of `size` bytes whose bases
/// are these. `places` are inside an instance, aligned, and nothing else stands there.
pub unsafe fn make<'py>(py: Python<'py>, spec: &Spec<'_, 'py>) -> PyResult<Bound<'py, PyType>> {
    let mut slots =
        Vec::from_iter(spec.slots.iter().map(|(slot, what)| filled(*slot, what.as_ptr())));
    slots.push(filled(ffi::Py_tp_methods, spec.methods.0.as_ptr().cast_mut().cast()));
    if let Some(properties) = spec.properties {
        slots.push(filled(ffi::Py_tp_getset, properties.0.as_ptr().cast_mut().cast()));
    }
    if let Some(places) = spec.places {
        slots.push(filled(ffi::Py_tp_members, members(places).cast()));
    }
    slots.push(filled(0, ptr::null_mut()));
    let flags =
        ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut made = ffi::PyType_Spec {
        name: spec.name.as_ptr(),
        basicsize: spec.size as c_int,
        itemsize: 0,
        flags: (flags | spec.flags) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    let bases = PyTuple::new(py, spec.bases)?;
    let bases = if bases.is_empty() { ptr::null_mut() } else { bases.as_ptr() };
    // SAFETY: the spec and its slots are well-formed and outlive the call. The name, the tables and
    // the texts that they point to are static, and the members are never freed. That the functions
    // fit is the caller's promise. A new reference, or null with an exception set.
    let class = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&mut made, bases))
    }?;
    Ok(class.cast_into()?)
}

fn filled(slot: c_int, what: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc: what }
}

/// The definitions that tell Python the places. They are never freed, because the class refers to
/// them.
fn members(places: Places) -> *mut ffi::PyMemberDef {
    let place = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    };
    Box::leak(Box::new([
        place(c"__weaklistoffset__", places.weak_references),
        place(c"__dictoffset__", places.attributes),
        ffi::PyMemberDef::default(),
    ]))
    .as_mut_ptr()
}

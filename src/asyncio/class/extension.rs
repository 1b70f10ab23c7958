//! asyncio's classes, extended by a Rust value that stands behind the members of the base.
//!
//! An instance is a real instance of asyncio's class: `isinstance` holds, and the methods of the
//! base work. The methods of the class itself are C functions, called by Python's fast calling
//! convention.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::border::{attached, guard};
use super::maker::{Places, Slot, Spec, make as make_class};
use super::memory::{allocate, member, replace};
use super::methods::Definitions;
use super::trash;
use super::visitor::Visitor;

/// A Rust value that extends a class of asyncio's.
pub trait Extension: Sized + 'static {
    /// The class's name, with its module.
    const NAME: &'static CStr;
    /// The bases: for each its module, and its name there.
    const BASES: &'static [(&'static str, &'static str)];

    /// Where the class is kept after it was made.
    fn class() -> &'static PyOnceLock<Class>;
    /// Its methods, ended by an empty entry.
    fn methods() -> &'static Definitions<ffi::PyMethodDef>;
    /// Its properties, ended by an empty entry.
    fn properties() -> &'static Definitions<ffi::PyGetSetDef>;
    /// Shows the references to the garbage collector. Must call and drop nothing meanwhile.
    fn visit(&self, visitor: &mut Visitor);
    /// Drops the references that can be part of a cycle.
    fn clear(&self);
    /// Python's `repr`.
    fn repr<'py>(this: &Instance<'py, Self>) -> PyResult<Bound<'py, PyAny>>;
    /// What is done with an instance that nobody refers to any more, before it is freed.
    fn finalize(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// A class that was made.
pub struct Class {
    class: Py<PyType>,
    /// Where the value stands in an instance.
    value: usize,
    /// The places that hold a reference or null: the base's members, and the dictionary of other
    /// attributes.
    members: Vec<usize>,
}

/// An instance of the class that `T` extends.
#[repr(transparent)]
pub struct Instance<'py, T>(Bound<'py, PyAny>, PhantomData<T>);

impl<'py, T: Extension> Instance<'py, T> {
    /// Makes an instance of the class.
    pub fn new(py: Python<'py>, value: T) -> PyResult<Instance<'py, T>> {
        let class = class::<T>(py)?;
        // SAFETY: the class is live and its objects have a collector's header. The value is there
        // before anyone sees the object.
        unsafe {
            let object = allocate(py, class.class.as_ptr().cast(), None)?;
            object.byte_add(class.value).cast::<T>().write(value);
            ffi::PyObject_GC_Track(object.cast());
            Ok(Instance(Bound::from_owned_ptr(py, object), PhantomData))
        }
    }

    /// The object as an instance.
    ///
    /// # Errors
    /// `TypeError` if it is none.
    pub fn of<'a>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a Instance<'py, T>> {
        let class = class::<T>(object.py())?;
        if !object.is_exact_instance(class.class.bind(object.py())) {
            return Err(PyTypeError::new_err("not an instance of the expected class"));
        }
        // SAFETY: a transparent wrapper of what was just checked to be an instance.
        Ok(unsafe { &*ptr::from_ref(object).cast::<Instance<'py, T>>() })
    }

    /// The instance as any object.
    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    pub fn py(&self) -> Python<'py> {
        self.0.py()
    }
}

impl<T: Extension> Deref for Instance<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: an instance of this class has a value there, which lives as long as it.
        unsafe { &*value_of(self.0.as_ptr(), self.0.py()) }
    }
}

/// # Safety
/// `object` is an instance of `T`'s class.
unsafe fn value_of<T: Extension>(object: *mut ffi::PyObject, py: Python<'_>) -> *mut T {
    // An instance exists, so its class was made.
    let offset = T::class().get(py).map_or(0, |class| class.value);
    // SAFETY: the caller's promise.
    unsafe { object.byte_add(offset).cast::<T>() }
}

/// The class, made on first use.
pub fn class<T: Extension>(py: Python<'_>) -> PyResult<&'static Class> {
    match T::class().get(py) {
        Some(class) => Ok(class),
        None => T::class().get_or_try_init(py, || make::<T>(py)),
    }
}

/// Adds the class to the module, under its own name.
pub fn register<'py, T: Extension>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyType>> {
    let class = class::<T>(module.py())?.class.bind(module.py()).clone();
    module.add(class.name()?, &class)?;
    Ok(class)
}

fn make<T: Extension>(py: Python<'_>) -> PyResult<Class> {
    let base = |(module, name): &(&str, &str)| {
        Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?)
    };
    let bases = T::BASES.iter().map(base).collect::<PyResult<Vec<_>>>()?;
    // The bases have one layout: that of the largest, which Python checks.
    let sizes = bases.iter().map(|base| base.getattr("__basicsize__")?.extract::<usize>());
    let base_size = sizes.collect::<PyResult<Vec<_>>>()?.into_iter().max().unwrap_or_default();
    let value = base_size.next_multiple_of(align_of::<T>());
    let pointer = size_of::<*mut c_void>();
    let weak_references = (value + size_of::<T>()).next_multiple_of(align_of::<*mut c_void>());
    let attributes = weak_references + pointer;
    let spec = Spec {
        name: T::NAME,
        bases: &bases,
        size: attributes + pointer,
        flags: 0,
        methods: T::methods(),
        properties: Some(T::properties()),
        places: Some(Places { weak_references, attributes }),
        slots: &[
            (ffi::Py_tp_dealloc, Slot::Dealloc(dealloc::<T>)),
            (ffi::Py_tp_finalize, Slot::Finalize(finalize::<T>)),
            (ffi::Py_tp_repr, Slot::Unary(repr::<T>)),
            (ffi::Py_tp_traverse, Slot::Traverse(traverse::<T>)),
            (ffi::Py_tp_clear, Slot::Clear(clear::<T>)),
        ],
    };
    // SAFETY: the functions are for instances with a `T` behind what the bases have, which is where
    // it stands.
    let class = unsafe { make_class(py, &spec) }?;
    let mut members = members_of(&bases)?;
    members.push(attributes); // The dictionary of what programs set is dropped as a member is.
    Ok(Class { class: class.unbind(), value, members })
}

/// The offsets of the members that the `__slots__` of the classes and their bases name.
fn members_of(classes: &[Bound<'_, PyType>]) -> PyResult<Vec<usize>> {
    let mut offsets = Vec::new();
    for base in classes.iter().flat_map(|class| class.mro().iter()) {
        for member in base.getattr("__dict__")?.call_method0("values")?.try_iter()? {
            let member = member?;
            if member.get_type().name()? == "member_descriptor" {
                let descriptor = member.as_ptr().cast::<ffi::PyMemberDescrObject>();
                // SAFETY: a member descriptor has this layout, and its definition lives as long as
                // the class.
                let offset = unsafe { (*(*descriptor).d_member).offset } as usize;
                if !offsets.contains(&offset) {
                    offsets.push(offset);
                }
            }
        }
    }
    Ok(offsets)
}

unsafe extern "C" fn traverse<T: Extension>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector holds the GIL. No reference is made or dropped here.
    let py = unsafe { Python::assume_attached() };
    let mut visitor = Visitor::new(visit, arg);
    if let Some(class) = T::class().get(py) {
        // SAFETY: Python passes an instance of the class.
        unsafe {
            (*value_of::<T>(object, py)).visit(&mut visitor);
            class.members.iter().for_each(|offset| visitor.see_raw(*member(object, *offset)));
            visitor.see_raw(ffi::Py_TYPE(object).cast());
        }
    }
    visitor.outcome()
}

unsafe extern "C" fn repr<T: Extension>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let instance = Instance::<T>(unsafe { Bound::from_borrowed_ptr(py, object) }, PhantomData);
        T::repr(&instance).map(Bound::into_ptr)
    })
}

unsafe extern "C" fn clear<T: Extension>(object: *mut ffi::PyObject) -> c_int {
    attached(|py| {
        // SAFETY: Python passes an instance of the class.
        unsafe { (*value_of::<T>(object, py)).clear() };
    });
    0
}

unsafe extern "C" fn finalize<T: Extension>(object: *mut ffi::PyObject) {
    attached(|py| {
        let pending = PyErr::take(py);
        // SAFETY: Python passes a live instance of the class.
        let instance = Instance::<T>(unsafe { Bound::from_borrowed_ptr(py, object) }, PhantomData);
        // SAFETY: may be called at any time.
        let is_ending = unsafe { ffi::Py_IsInitialized() } == 0;
        // When the interpreter ends, the functions that would report the error may be gone already.
        if let Err(error) = T::finalize(&instance)
            && !is_ending
        {
            error.write_unraisable(py, Some(instance.as_any()));
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

unsafe extern "C" fn dealloc<T: Extension>(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of the class, which may be the last of many that refer
    // to each other.
    unsafe { trash::free(object, |object| free::<T>(object)) }
}

/// # Safety
/// `object` is an instance of the class, with no reference left.
unsafe fn free<T: Extension>(object: *mut ffi::PyObject) {
    attached(|py| {
        // SAFETY: the caller's promise; this is the order that Python prescribes: finalizer,
        // untrack, weak references, value, members, memory, type. The finalizer may make the object
        // live on, tracked as it was before it had to wait for this.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if ffi::PyObject_GC_IsTracked(object) == 0 {
                ffi::PyObject_GC_Track(object.cast());
            }
            if ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
                return; // Somebody refers to it again.
            }
            ffi::PyObject_GC_UnTrack(object.cast());
            ffi::PyObject_ClearWeakRefs(object);
            ptr::drop_in_place(value_of::<T>(object, py));
            for offset in T::class().get(py).map_or(&[][..], |class| &class.members) {
                replace(object, *offset, ptr::null_mut());
            }
            ffi::PyObject_GC_Del(object.cast());
            ffi::Py_DECREF(class.cast());
        }
    });
}

//! Classes of asyncio's, extended by a Rust value that stands behind the members of the base.
//!
//! An instance is a real instance of asyncio's class: `isinstance` holds, and what the base has of methods works. Its own methods
//! are C functions, called by the cheapest convention that Python has.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyTuple, PyType};

use super::border::{attached, guard};
use super::trash;

/// A Rust value behind an instance of a class of asyncio's.
pub trait Extension: Sized + 'static {
    /// The class's name, with its module.
    const NAME: &'static CStr;
    /// The bases: for each the module that has it, and its name there.
    const BASES: &'static [(&'static str, &'static str)];

    /// Where the class is kept once it is made.
    fn class() -> &'static PyOnceLock<Class>;
    /// Its methods, ended by an empty entry.
    fn methods() -> &'static Table<ffi::PyMethodDef>;
    /// Its properties, ended by an empty entry.
    fn properties() -> &'static Table<ffi::PyGetSetDef>;
    /// Shows the garbage collector the references. Nothing may be called or dropped meanwhile.
    fn visit(&self, visitor: &mut Visitor);
    /// Drops the references that can be part of a cycle.
    fn clear(&self);
    /// Python's `repr`.
    fn repr<'py>(this: &Instance<'py, Self>) -> PyResult<Bound<'py, PyAny>>;
    /// What is done before an instance is freed that nobody refers to any more.
    fn finalize(_this: &Instance<'_, Self>) -> PyResult<()> {
        Ok(())
    }
}

/// A table of definitions that Python reads as long as the process lives.
pub struct Table<T: 'static>(pub &'static [T]);

// SAFETY: a constant table of pointers to statics.
unsafe impl<T> Sync for Table<T> {}

/// A class that was made.
pub struct Class {
    class: Py<PyType>,
    /// Where the value stands in an instance.
    value: usize,
    /// The places that hold a reference or null: the base's members, and the dictionary of other attributes.
    members: Vec<usize>,
}

/// The garbage collector, as it asks what an instance refers to.
pub struct Visitor {
    visit: ffi::visitproc,
    arg: *mut c_void,
    outcome: c_int,
}

impl Visitor {
    pub fn new(visit: ffi::visitproc, arg: *mut c_void) -> Visitor {
        Visitor { visit, arg, outcome: 0 }
    }

    /// What it said: not 0 if it has seen enough.
    pub fn outcome(&self) -> c_int {
        self.outcome
    }

    /// Shows it one reference.
    pub fn see(&mut self, object: Option<&Py<PyAny>>) {
        self.see_raw(object.map_or(ptr::null_mut(), Py::as_ptr));
    }

    /// Shows it one reference, or null.
    pub fn see_raw(&mut self, object: *mut ffi::PyObject) {
        if self.outcome == 0 && !object.is_null() {
            // SAFETY: the collector's own function, called with a live object.
            self.outcome = unsafe { (self.visit)(object, self.arg) };
        }
    }
}

/// An instance of the class that `T` extends.
#[repr(transparent)]
pub struct Instance<'py, T>(Bound<'py, PyAny>, PhantomData<T>);

impl<'py, T: Extension> Instance<'py, T> {
    /// Makes an instance of the class.
    pub fn new(py: Python<'py>, value: T) -> PyResult<Instance<'py, T>> {
        let class = class::<T>(py)?;
        let python_class = class.class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: the class is live and its objects have a collector's header. What lies behind the object's own header is filled
        // before anyone sees it: with zeros, which is what an empty member is, then with the value.
        unsafe {
            let object = ffi::PyObject_GC_New::<ffi::PyObject>(python_class);
            if object.is_null() {
                return Err(PyErr::fetch(py));
            }
            let header = size_of::<ffi::PyObject>();
            ptr::write_bytes(object.byte_add(header).cast::<u8>(), 0, (*python_class).tp_basicsize as usize - header);
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
    let base = |(module, name): &(&str, &str)| Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?);
    let bases = T::BASES.iter().map(base).collect::<PyResult<Vec<_>>>()?;
    // They have one layout: that of the largest, which Python checks.
    let sizes = bases.iter().map(|base| base.getattr("__basicsize__")?.extract::<usize>());
    let base_size = sizes.collect::<PyResult<Vec<_>>>()?.into_iter().max().unwrap_or_default();
    let value = base_size.next_multiple_of(align_of::<T>());
    let pointer = size_of::<*mut c_void>();
    let weak_references = (value + size_of::<T>()).next_multiple_of(align_of::<*mut c_void>());
    let attributes = weak_references + pointer;
    let size = attributes + pointer;
    let place = |name: &'static CStr, offset: usize| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: ptr::null(),
    };
    // Never freed: the class refers to them.
    let members = Box::leak(Box::new([
        place(c"__weaklistoffset__", weak_references),
        place(c"__dictoffset__", attributes),
        ffi::PyMemberDef::default(),
    ]));
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize::<T> as *mut c_void),
        slot(ffi::Py_tp_repr, repr::<T> as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse::<T> as *mut c_void),
        slot(ffi::Py_tp_clear, clear::<T> as *mut c_void),
        slot(ffi::Py_tp_methods, T::methods().0.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_getset, T::properties().0.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: T::NAME.as_ptr(),
        basicsize: size as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots are well-formed and outlive the call; what they point to is never freed.
    let class = unsafe { ffi::PyType_FromSpecWithBases(&mut spec, PyTuple::new(py, &bases)?.as_ptr()) };
    // SAFETY: a new reference, or null with an exception set.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, class) }?;
    let mut members = members_of(&bases)?;
    members.push(attributes); // The dictionary of what programs set is dropped as a member is.
    Ok(Class { class: class.cast_into::<PyType>()?.unbind(), value, members })
}

/// Where the classes and their bases keep what their `__slots__` name.
fn members_of(classes: &[Bound<'_, PyType>]) -> PyResult<Vec<usize>> {
    let mut offsets = Vec::new();
    for base in classes.iter().flat_map(|class| class.mro().iter()) {
        for member in base.getattr("__dict__")?.call_method0("values")?.try_iter()? {
            let member = member?;
            if member.get_type().name()? == "member_descriptor" {
                let descriptor = member.as_ptr().cast::<ffi::PyMemberDescrObject>();
                // SAFETY: a member descriptor has this layout, and its definition lives as long as the class.
                let offset = unsafe { (*(*descriptor).d_member).offset } as usize;
                if !offsets.contains(&offset) {
                    offsets.push(offset);
                }
            }
        }
    }
    Ok(offsets)
}

/// The base's member at `offset`.
unsafe fn member(object: *mut ffi::PyObject, offset: usize) -> *mut *mut ffi::PyObject {
    // SAFETY: the caller has an instance with a member there.
    unsafe { object.byte_add(offset).cast() }
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
    visitor.outcome
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
        // When the interpreter ends, what would say so may be gone already.
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
    // SAFETY: Python deallocates an instance of the class, which may be the last of many that refer to each other.
    unsafe { trash::free(object, |object| free::<T>(object)) }
}

/// # Safety
/// `object` is an instance of the class, with no reference left.
unsafe fn free<T: Extension>(object: *mut ffi::PyObject) {
    attached(|py| {
        // SAFETY: the caller's promise; this is the order that Python prescribes: finalizer, untrack, weak references, value, members,
        // memory, type. The finalizer may make the object live on, tracked as it was before it had to wait for this.
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
                let old = member(object, *offset).replace(ptr::null_mut());
                ffi::Py_XDECREF(old);
            }
            ffi::PyObject_GC_Del(object.cast());
            ffi::Py_DECREF(class.cast());
        }
    });
}

/// What a method of an extension returns.
pub trait Returned {
    /// The object that Python gets: a new reference.
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject;
}

impl Returned for () {
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject {
        py.None().into_ptr()
    }
}

impl Returned for bool {
    fn into_object(self, py: Python<'_>) -> *mut ffi::PyObject {
        PyBool::new(py, self).to_owned().into_ptr()
    }
}

impl Returned for usize {
    fn into_object(self, _: Python<'_>) -> *mut ffi::PyObject {
        // SAFETY: a new reference, or null with an exception set.
        unsafe { ffi::PyLong_FromSize_t(self) }
    }
}

impl<T> Returned for Bound<'_, T> {
    fn into_object(self, _: Python<'_>) -> *mut ffi::PyObject {
        self.into_ptr()
    }
}

/// An entry of [`Extension::methods`]: the C function around a Rust one that takes an [`Instance`] and nothing (`none`), one object
/// (`one`), or [`Arguments`](crate::asyncio::class::arguments::Arguments) (`any`).
macro_rules! method {
    (none $name:literal, $function:path, $doc:literal) => {{
        unsafe extern "C" fn call(
            this: *mut pyo3::ffi::PyObject,
            _: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|py| {
                // SAFETY: Python passes a live object, whose class the descriptor has checked.
                let this = unsafe { pyo3::Bound::from_borrowed_ptr(py, this) };
                let returned = $function($crate::asyncio::class::extension::Instance::of(&this)?)?;
                Ok($crate::asyncio::class::extension::Returned::into_object(returned, py))
            })
        }
        pyo3::ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: pyo3::ffi::PyMethodDefPointer { PyCFunction: call },
            ml_flags: pyo3::ffi::METH_NOARGS,
            ml_doc: $doc.as_ptr(),
        }
    }};
    (one $class:literal, $name:literal, $parameter:literal, $function:path, $doc:literal) => {
        $crate::asyncio::class::extension::method!(
            fast $class, $name, $doc,
            |py, this, arguments| $function($crate::asyncio::class::extension::Instance::of(&this)?, &arguments.only(py, $parameter)?)
        )
    };
    (any $class:literal, $name:literal, $function:path, $doc:literal) => {
        $crate::asyncio::class::extension::method!(
            fast $class, $name, $doc,
            |py, this, arguments| $function($crate::asyncio::class::extension::Instance::of(&this)?, &arguments)
        )
    };
    (fast $class:literal, $name:literal, $doc:literal, |$py:ident, $this:ident, $arguments:ident| $call:expr) => {{
        unsafe extern "C" fn call(
            this: *mut pyo3::ffi::PyObject,
            args: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            keywords: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|$py| {
                // SAFETY: Python's own arguments of the call under way; the descriptor has checked the object's class.
                let ($this, $arguments) = unsafe {
                    (
                        pyo3::Bound::from_borrowed_ptr($py, this),
                        $crate::asyncio::class::arguments::Arguments::new($class, $name, args, count, keywords),
                    )
                };
                Ok($crate::asyncio::class::extension::Returned::into_object($call?, $py))
            })
        }
        pyo3::ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: pyo3::ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call },
            ml_flags: pyo3::ffi::METH_FASTCALL | pyo3::ffi::METH_KEYWORDS,
            ml_doc: $doc.as_ptr(),
        }
    }};
}

/// An entry of [`Extension::properties`], around a Rust function that takes an [`Instance`]; and perhaps another that takes it and
/// what is set, `None` if that is deleted.
macro_rules! property {
    ($name:literal, $get:path, $set:path) => {{
        unsafe extern "C" fn set(
            this: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            $crate::asyncio::class::border::guard_set(|py| {
                // SAFETY: Python passes live objects, and has checked the class of the first; null for a value that is deleted.
                let (this, value) = unsafe {
                    (
                        pyo3::Bound::from_borrowed_ptr(py, this),
                        pyo3::Bound::from_borrowed_ptr_or_opt(py, value),
                    )
                };
                $set($crate::asyncio::class::extension::Instance::of(&this)?, value)
            })
        }
        pyo3::ffi::PyGetSetDef { set: Some(set), ..property!($name, $get) }
    }};
    ($name:literal, $function:path) => {{
        unsafe extern "C" fn get(this: *mut pyo3::ffi::PyObject, _: *mut std::ffi::c_void) -> *mut pyo3::ffi::PyObject {
            $crate::asyncio::class::border::guard(|py| {
                // SAFETY: Python passes a live object, whose class the descriptor has checked.
                let this = unsafe { pyo3::Bound::from_borrowed_ptr(py, this) };
                let returned = $function($crate::asyncio::class::extension::Instance::of(&this)?)?;
                Ok($crate::asyncio::class::extension::Returned::into_object(returned, py))
            })
        }
        pyo3::ffi::PyGetSetDef {
            name: $name.as_ptr(),
            get: Some(get),
            set: None,
            doc: std::ptr::null(),
            closure: std::ptr::null_mut(),
        }
    }};
}

pub(crate) use {method, property};

//! `Handle` and `TimerHandle`: asyncio's own classes, extended in C terms so that making and running one is cheap.
//!
//! They are real subclasses of `asyncio.Handle` and `asyncio.TimerHandle`: `isinstance`, `repr`, comparisons, attributes and
//! `_run` are the stock ones. What differs is that Rust reads and writes the attributes (`__slots__` members) at their offsets,
//! which are looked up once, and that freed handles are kept for reuse. A Python whose handles have other members fails at
//! import, by name, not later by crash.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use super::abi::guard;
use super::event_loop::Loop;
use crate::core::TimerKey;

/// Freed handles that are kept, per class.
const SPARES: usize = 2048;

/// Byte offsets of the stock handle's members.
#[derive(Clone, Copy)]
struct Offsets {
    callback: usize,
    args: usize,
    cancelled: usize,
    event_loop: usize,
    source_traceback: usize,
    repr: usize,
    context: usize,
    /// `TimerHandle` only.
    scheduled: usize,
    when: usize,
    /// Our `TimerHandle` only: where its [`TimerKey`] stands.
    key: usize,
}

impl Offsets {
    /// The members that every handle has.
    fn common(&self) -> [usize; 7] {
        [self.callback, self.args, self.cancelled, self.event_loop, self.source_traceback, self.repr, self.context]
    }
}

/// The classes, made when the module is imported.
pub struct Types {
    offsets: Offsets,
    handle: Py<PyType>,
    timer: Py<PyType>,
    stock_handle: Py<PyType>,
    stock_timer: Py<PyType>,
    spare_handles: Spares,
    spare_timers: Spares,
}

/// Memory of freed handles: untracked, emptied, with no reference to their type.
struct Spares(RefCell<Vec<*mut ffi::PyObject>>);

// SAFETY: touched only with the GIL held (the module declares that it uses the GIL), for moments in which nothing else runs.
unsafe impl Send for Spares {}
// SAFETY: as above.
unsafe impl Sync for Spares {}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

/// The classes.
fn types(py: Python<'_>) -> PyResult<&Types> {
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
    module.add("TimerHandle", types.timer.bind(py))
}

impl Types {
    fn new(py: Python<'_>) -> PyResult<Types> {
        let events = py.import("asyncio.events")?;
        let stock_handle = events.getattr("Handle")?.cast_into::<PyType>()?;
        let stock_timer = events.getattr("TimerHandle")?.cast_into::<PyType>()?;
        let size = |class: &Bound<'_, PyType>| class.getattr("__basicsize__")?.extract::<usize>();
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
        let handle = derive(&stock_handle, c"qtloop._core.Handle", size(&stock_handle)?, dealloc_handle)?;
        let timer =
            derive(&stock_timer, c"qtloop._core.TimerHandle", key + size_of::<Option<TimerKey>>(), dealloc_timer)?;
        Ok(Types {
            offsets,
            handle,
            timer,
            stock_handle: stock_handle.unbind(),
            stock_timer: stock_timer.unbind(),
            spare_handles: Spares(RefCell::default()),
            spare_timers: Spares(RefCell::default()),
        })
    }

    /// Whether the members of `object` stand at our offsets.
    fn knows(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        [&self.handle, &self.timer, &self.stock_handle, &self.stock_timer]
            .iter()
            .any(|known| ptr::eq(known.as_ptr().cast(), class))
    }

    fn is_ours(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        ptr::eq(self.handle.as_ptr().cast(), class) || ptr::eq(self.timer.as_ptr().cast(), class)
    }

    /// The offsets of all members of an object of ours.
    fn members_of(&self, object: *mut ffi::PyObject) -> impl Iterator<Item = usize> {
        let timer_members = [self.offsets.when, self.offsets.scheduled];
        self.offsets.common().into_iter().chain(timer_members.into_iter().take(if self.is_our_timer(object) {
            2
        } else {
            0
        }))
    }

    fn is_our_timer(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: reads the type of a live object.
        ptr::eq(unsafe { ffi::Py_TYPE(object) }, self.timer.as_ptr().cast())
    }
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
    // SAFETY: `member` is a member descriptor, so it has this layout and its definition lives as long as the class.
    let definition = unsafe { *(*descriptor).d_member };
    Ok(definition.offset as usize)
}

/// Makes a subclass of `base` with `size` bytes an instance.
fn derive(
    base: &Bound<'_, PyType>,
    name: &'static CStr,
    size: usize,
    dealloc: ffi::destructor,
) -> PyResult<Py<PyType>> {
    // Where the weak references stand is part of the layout, and not inherited by itself on every version.
    const LAYOUT_FLAGS: u64 = 0b11 << 3;
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw const METHODS.0).cast_mut().cast()),
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
    Ok(class.cast_into::<PyType>()?.unbind())
}

struct Methods([ffi::PyMethodDef; 2]);

// SAFETY: a constant table of pointers to statics.
unsafe impl Sync for Methods {}

static METHODS: Methods = Methods([
    ffi::PyMethodDef {
        ml_name: c"cancel".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: cancel },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"cancel($self, /)\n--\n\nCancel the callback. Cancelling twice, or after it has run, does nothing."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

/// The member at `offset`.
///
/// # Safety
/// `object` is a live object with a member there.
unsafe fn member(object: *mut ffi::PyObject, offset: usize) -> *mut *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe { object.byte_add(offset).cast() }
}

/// Puts the owned `value` into a member and drops what stood there.
///
/// # Safety
/// As [`member`]; `value` is an owned reference or null.
unsafe fn replace(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: the caller's promise. The member holds its new value before the old one is dropped, which may run any code.
    unsafe {
        let old = member(object, offset).replace(value);
        ffi::Py_XDECREF(old);
    }
}

/// Memory for a new object of `class`: members null, one reference, not tracked by the garbage collector.
fn allocate(py: Python<'_>, class: &Py<PyType>, spares: &Spares) -> PyResult<*mut ffi::PyObject> {
    let class = class.as_ptr().cast::<ffi::PyTypeObject>();
    let spare = spares.0.borrow_mut().pop();
    if let Some(spare) = spare {
        // SAFETY: a spare is untracked memory of this class.
        unsafe { ffi::PyObject_Init(spare, class) };
        return Ok(spare);
    }
    // SAFETY: the class is live, and its objects have a collector's header. Returns memory for one, or null with an exception
    // set; what lies behind the object's own header is ours to fill.
    unsafe {
        let fresh = ffi::PyObject_GC_New::<ffi::PyObject>(class);
        if fresh.is_null() {
            return Err(PyErr::fetch(py));
        }
        let header = size_of::<ffi::PyObject>();
        ptr::write_bytes(fresh.byte_add(header).cast::<u8>(), 0, (*class).tp_basicsize as usize - header);
        Ok(fresh)
    }
}

/// Lets the garbage collector see the handle, if it does not yet.
///
/// A handle starts untracked: most are made, run and freed without anyone but the queue ever having them, and the collector would
/// look at each in vain. While the queue alone has it, the loop shows the handle's members as its own ([`visit`]). Whether anyone
/// else keeps it is seen when it leaves the queue or the heap; if so, it is tracked from then on like any object.
pub fn track(handle: &Bound<'_, PyAny>) {
    let object = handle.as_ptr();
    let is_ours = types(handle.py()).is_ok_and(|types| types.is_ours(object));
    // SAFETY: a live, completely filled object of a class with a collector's header.
    unsafe {
        if is_ours && ffi::PyObject_GC_IsTracked(object) == 0 {
            ffi::PyObject_GC_Track(object.cast());
        }
    }
}

/// As [`track`], if the handle has another owner than the caller.
pub fn track_if_shared(handle: &Bound<'_, PyAny>) {
    // SAFETY: reads the reference count of a live object.
    if unsafe { ffi::Py_REFCNT(handle.as_ptr()) } > 1 {
        track(handle);
    }
}

/// Shows the collector what a queue's item refers to: the item itself or, if only the queue has it, its members.
pub fn visit(item: &Py<PyAny>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    // SAFETY: the collector holds the GIL. No reference is made or dropped here.
    let py = unsafe { Python::assume_attached() };
    let Some(types) = TYPES.get(py) else { return Ok(()) };
    let object = item.as_ptr();
    // SAFETY: reads of a live object.
    let is_hidden =
        types.is_ours(object) && unsafe { ffi::PyObject_GC_IsTracked(object) == 0 && ffi::Py_REFCNT(object) == 1 };
    if !is_hidden {
        return visit.call(item);
    }
    for offset in types.members_of(object) {
        // SAFETY: the member is null or a live object, which is just how an `Option<Py>` is laid out.
        let member = unsafe { &*member(object, offset).cast::<Option<Py<PyAny>>>() };
        visit.call(member)?;
    }
    Ok(())
}

/// What a new handle is made of.
pub struct Call<'a, 'py> {
    /// The function.
    pub callback: &'a Bound<'py, PyAny>,
    /// Its positional arguments.
    pub args: Bound<'py, PyTuple>,
    /// The loop that will call it.
    pub event_loop: &'a Bound<'py, PyAny>,
    /// The context it will run in.
    pub context: Bound<'py, PyAny>,
}

impl<'py> Call<'_, 'py> {
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
            *member(handle, offsets.cancelled) = pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            *member(handle, offsets.source_traceback) = py.None().into_ptr();
            *member(handle, offsets.repr) = py.None().into_ptr();
        }
    }

    /// Makes a `Handle`, which is not tracked yet: see [`track`].
    pub fn into_handle(self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        let handle = allocate(py, &types.handle, &types.spare_handles)?;
        // SAFETY: `handle` is new, ours, and owned by us.
        unsafe {
            self.fill(handle, &types.offsets);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }

    /// Makes a `TimerHandle` that is due at `when`, a number; not tracked yet either.
    pub fn into_timer(self, when: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.args.py();
        let types = types(py)?;
        let handle = allocate(py, &types.timer, &types.spare_timers)?;
        // SAFETY: `handle` is new, ours, and owned by us; the key's place is inside it and aligned.
        unsafe {
            self.fill(handle, &types.offsets);
            *member(handle, types.offsets.when) = when.clone().into_ptr();
            *member(handle, types.offsets.scheduled) = pyo3::types::PyBool::new(py, false).to_owned().into_ptr();
            handle.byte_add(types.offsets.key).cast::<Option<TimerKey>>().write(None);
            Ok(Bound::from_owned_ptr(py, handle))
        }
    }
}

/// Notes where the timer stands in the heap, or that it has left it.
pub fn set_timer_key(timer: &Bound<'_, PyAny>, key: Option<TimerKey>) -> PyResult<()> {
    let types = types(timer.py())?;
    if types.is_our_timer(timer.as_ptr()) {
        let scheduled = pyo3::types::PyBool::new(timer.py(), key.is_some()).to_owned().into_ptr();
        // SAFETY: the object is one of ours, so both places are inside it.
        unsafe {
            timer.as_ptr().byte_add(types.offsets.key).cast::<Option<TimerKey>>().write(key);
            replace(timer.as_ptr(), types.offsets.scheduled, scheduled);
        }
    }
    Ok(())
}

/// Where a timer of ours stands in the heap.
pub fn timer_key(timer: &Bound<'_, PyAny>) -> Option<TimerKey> {
    let types = types(timer.py()).ok()?;
    if !types.is_our_timer(timer.as_ptr()) {
        return None;
    }
    // SAFETY: the object is one of ours, so the key's place is inside it and was written when it was made.
    unsafe { *timer.as_ptr().byte_add(types.offsets.key).cast::<Option<TimerKey>>() }
}

/// Sets where the handle was made, for debug mode.
pub fn set_source_traceback(handle: &Bound<'_, PyAny>, stack: Bound<'_, PyAny>) -> PyResult<()> {
    let types = types(handle.py())?;
    // SAFETY: called with a handle that we have just made.
    unsafe { replace(handle.as_ptr(), types.offsets.source_traceback, stack.into_ptr()) };
    Ok(())
}

/// Whether the handle was cancelled. Any object that is not a handle was not.
pub fn is_cancelled(py: Python<'_>, handle: &Py<PyAny>) -> bool {
    let Ok(types) = types(py) else { return false };
    // SAFETY: the member is only read if the object is known to have it.
    types.knows(handle.as_ptr())
        && unsafe { ptr::eq(*member(handle.as_ptr(), types.offsets.cancelled), ffi::Py_True()) }
}

/// Calls the handle's callback in its context, unless it was cancelled.
///
/// # Errors
/// What the callback raised.
pub fn run(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    if !types.knows(handle.as_ptr()) {
        return handle.call_method0("_run").map(drop);
    }
    let offsets = &types.offsets;
    // SAFETY: the object has these members. Each value read is kept by a reference of our own, since the callback may cancel
    // its handle; a null (an attribute that somebody deleted) ends here as an error.
    unsafe {
        if ptr::eq(*member(handle.as_ptr(), offsets.cancelled), ffi::Py_True()) {
            return Ok(());
        }
        let own = |offset| Bound::from_borrowed_ptr_or_err(py, *member(handle.as_ptr(), offset));
        call(&own(offsets.callback)?, &own(offsets.args)?, &own(offsets.context)?)
    }
}

fn call(callback: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>, context: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = callback.py();
    // SAFETY: all three are live; a context that is none, or args that are no tuple, are refused by Python with an exception.
    unsafe {
        if ffi::PyContext_Enter(context.as_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        let result = if ffi::PyTuple_CheckExact(args.as_ptr()) != 0 {
            let items = &raw const (*args.as_ptr().cast::<ffi::PyTupleObject>()).ob_item;
            let count = ffi::PyTuple_GET_SIZE(args.as_ptr()) as usize;
            ffi::PyObject_Vectorcall(callback.as_ptr(), items.cast(), count, ptr::null_mut())
        } else {
            ffi::PyObject_CallObject(callback.as_ptr(), args.as_ptr())
        };
        let left = ffi::PyContext_Exit(context.as_ptr());
        if result.is_null() || left < 0 {
            ffi::Py_XDECREF(result);
            return Err(PyErr::fetch(py));
        }
        ffi::Py_DECREF(result);
        Ok(())
    }
}

unsafe extern "C" fn cancel(handle: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of one of our classes.
        let handle = unsafe { Bound::from_borrowed_ptr(py, handle) };
        cancel_handle(&handle)?;
        Ok(py.None().into_ptr())
    })
}

fn cancel_handle(handle: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = handle.py();
    let types = types(py)?;
    let offsets = &types.offsets;
    let object = handle.as_ptr();
    // SAFETY: an instance of one of our classes has these members; each value written is an owned reference.
    unsafe {
        if ptr::eq(*member(object, offsets.cancelled), ffi::Py_True()) {
            return Ok(());
        }
        replace(object, offsets.cancelled, pyo3::types::PyBool::new(py, true).to_owned().into_ptr());
        let event_loop = Bound::from_borrowed_ptr_or_opt(py, *member(object, offsets.event_loop));
        if let Some(event_loop) = event_loop.as_ref().and_then(|event_loop| event_loop.cast::<Loop>().ok()) {
            let event_loop = event_loop.get();
            if let Some(key) = timer_key(handle) {
                event_loop.forget_timer(handle, key)?;
            }
            if event_loop.is_debugging() {
                // What was cancelled is still to be named in a warning about how long something took.
                replace(object, offsets.repr, handle.repr()?.into_ptr());
            }
        }
        replace(object, offsets.callback, py.None().into_ptr());
        replace(object, offsets.args, py.None().into_ptr());
    }
    track_if_shared(handle);
    Ok(())
}

unsafe extern "C" fn traverse(object: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the collector holds the GIL.
    let py = unsafe { Python::assume_attached() };
    let Some(types) = TYPES.get(py) else { return 0 };
    let visit_one = |object: *mut ffi::PyObject| {
        // SAFETY: the collector's own function, called with a live object.
        if object.is_null() { 0 } else { unsafe { visit(object, arg) } }
    };
    for offset in types.members_of(object) {
        // SAFETY: an instance of one of our classes has these members.
        let outcome = visit_one(unsafe { *member(object, offset) });
        if outcome != 0 {
            return outcome;
        }
    }
    // SAFETY: an instance of a heap type owns a reference to it.
    visit_one(unsafe { ffi::Py_TYPE(object) }.cast())
}

unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: called by the collector, or by `dealloc`, with the GIL held.
    let py = unsafe { Python::assume_attached() };
    if let Some(types) = TYPES.get(py) {
        for offset in types.members_of(object) {
            // SAFETY: an instance of one of our classes has these members.
            unsafe { replace(object, offset, ptr::null_mut()) };
        }
    }
    0
}

unsafe extern "C" fn dealloc_handle(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of our `Handle`.
    unsafe { dealloc(object, |types| &types.spare_handles) }
}

unsafe extern "C" fn dealloc_timer(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of our `TimerHandle`.
    unsafe { dealloc(object, |types| &types.spare_timers) }
}

/// Empties the object and keeps its memory, or frees it.
///
/// # Safety
/// `object` is an instance of the class that `spares` belong to, with no reference left.
unsafe fn dealloc(object: *mut ffi::PyObject, spares: fn(&Types) -> &Spares) {
    // SAFETY: objects are deallocated with the GIL held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the caller's promise; this is the order that Python prescribes: untrack, weak references, members, memory, type.
    unsafe {
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        ffi::PyObject_ClearWeakRefs(object);
        clear(object);
        let is_kept = TYPES.get(py).is_some_and(|types| {
            let mut spares = spares(types).0.borrow_mut();
            let has_room = spares.len() < SPARES;
            if has_room {
                spares.push(object);
            }
            has_room
        });
        if !is_kept {
            ffi::PyObject_GC_Del(object.cast());
        }
        ffi::Py_DECREF(class.cast());
    }
}

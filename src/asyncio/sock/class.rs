//! The class of operations, made by C's API, so that `await` calls its functions without a detour.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi::{self, PySendResult};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyType};

use super::object::{Object, This, free, look_up, operation_of};
use super::operation::{self, Step};
use crate::asyncio::class::arguments::Arguments;
use crate::asyncio::class::border::guard;
use crate::asyncio::class::maker::{Slot, Spec, make as make_class};
use crate::asyncio::class::methods::{Definitions, LAST_PROPERTY, fast, getter, simple};
use crate::asyncio::class::trash;
use crate::asyncio::class::visitor::Visitor;

/// Adds the class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let class = make(module.py())?;
    look_up(class.clone())?;
    module.add("SocketOperation", class)
}

fn make(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let spec = Spec {
        name: c"qtloop._core.SocketOperation",
        bases: &[],
        size: size_of::<Object>(),
        flags: 0,
        methods: &METHODS,
        properties: Some(&PROPERTIES),
        places: None,
        slots: &[
            (ffi::Py_tp_dealloc, Slot::Dealloc(dealloc)),
            (ffi::Py_tp_traverse, Slot::Traverse(traverse)),
            (ffi::Py_tp_clear, Slot::Clear(clear)),
            (ffi::Py_tp_repr, Slot::Unary(repr)),
            (ffi::Py_tp_iternext, Slot::Unary(next)),
            (ffi::Py_am_await, Slot::Unary(iterator)),
            (ffi::Py_am_send, Slot::Send(send)),
            (
                ffi::Py_tp_doc,
                Slot::Doc(c"What a loop's sock_* methods return: awaitable once, as a coroutine."),
            ),
        ],
    };
    // SAFETY: the functions are for an `Object`.
    unsafe { make_class(py, &spec) }
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: Python deallocates an instance of the class, which may be the last of many that refer
    // to each other.
    unsafe { trash::free(object, |object| free(object)) }
}

unsafe extern "C" fn traverse(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let mut visitor = Visitor::new(visit, arg);
    // SAFETY: Python passes an instance of the class, which owns a reference to it.
    unsafe {
        operation_of(object).visit(&mut visitor);
        visitor.see_raw(ffi::Py_TYPE(object).cast());
    }
    visitor.outcome()
}

unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector holds the GIL.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: Python passes an instance of the class.
    unsafe { operation_of(object).clear(py) };
    0
}

unsafe extern "C" fn repr(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let this = unsafe { This::borrowed(py, object) };
        Ok(PyString::new(py, &operation::describe(&this)).into_any().into_ptr())
    })
}

/// What `await` iterates over: the operation itself.
unsafe extern "C" fn iterator(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let this = unsafe { This::borrowed(py, object) };
        if this.is_waiting() {
            return Err(PyRuntimeError::new_err("coroutine is being awaited already"));
        }
        Ok(this.into_ptr())
    })
}

unsafe extern "C" fn send(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> PySendResult {
    let mut outcome = PySendResult::PYGEN_ERROR;
    let object = guard(|py| {
        // SAFETY: Python passes a live instance of the class, and a live value.
        let (this, value) =
            unsafe { (This::borrowed(py, object), Bound::from_borrowed_ptr(py, value)) };
        let (kind, object) = match operation::send(&this, &value)? {
            Step::Waits(future) => (PySendResult::PYGEN_NEXT, future),
            Step::Returns(object) => (PySendResult::PYGEN_RETURN, object),
        };
        outcome = kind;
        Ok(object.into_ptr())
    });
    // SAFETY: Python's place for the result, a new reference or null.
    unsafe { *result = object };
    outcome
}

/// As `send(None)`, for the interpreter, which prefers it.
unsafe extern "C" fn next(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let this = unsafe { This::borrowed(py, object) };
        match operation::send(&this, &py.None().into_bound(py))? {
            Step::Waits(future) => Ok(future.into_ptr()),
            // The end without an exception set returns None.
            Step::Returns(object) if object.is_none() => Ok(ptr::null_mut()),
            Step::Returns(object) if object.is_exact_instance_of::<PyBytes>() => {
                // SAFETY: live objects; sets the exception, which is cheaper than an error of
                // Rust's.
                unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, object.as_ptr()) };
                Ok(ptr::null_mut())
            }
            Step::Returns(object) => Err(returned(object)),
        }
    })
}

unsafe extern "C" fn send_method(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class, and a live value.
        let (this, value) =
            unsafe { (This::borrowed(py, object), Bound::from_borrowed_ptr(py, value)) };
        match operation::send(&this, &value)? {
            Step::Waits(future) => Ok(future.into_ptr()),
            Step::Returns(object) => Err(returned(object)),
        }
    })
}

/// The exception that says that a coroutine has returned. The result is put into a tuple of its
/// own, since it may be a tuple itself.
fn returned(object: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((object.unbind(),))
}

unsafe extern "C" fn throw(
    object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (this, raw) = unsafe {
            (
                This::borrowed(py, object),
                Arguments::new("SocketOperation", c"throw", args, count, keywords),
            )
        };
        let [kind, value, traceback] = raw.all(py, ["typ", "val", "tb"], 1)?;
        Err(operation::throw(&this, thrown(kind, value, traceback)?))
    })
}

/// The exception behind the arguments of `throw`: itself, or a class with its value.
fn thrown(
    kind: Option<Bound<'_, PyAny>>,
    value: Option<Bound<'_, PyAny>>,
    traceback: Option<Bound<'_, PyAny>>,
) -> PyResult<PyErr> {
    let refused = || {
        PyTypeError::new_err("exceptions must be classes or instances deriving from BaseException")
    };
    let kind = kind.ok_or_else(refused)?;
    let error = match kind.cast::<PyType>() {
        Ok(class) => match value.filter(|value| !value.is_none()) {
            Some(value) if value.is_instance(class)? => value,
            Some(value) => class.call1((value,))?,
            None => class.call0()?,
        },
        Err(_) => kind,
    };
    if !error.is_instance_of::<PyBaseException>() {
        return Err(refused());
    }
    if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
        error.call_method1("with_traceback", (traceback,))?;
    }
    Ok(PyErr::from_value(error))
}

unsafe extern "C" fn close(
    object: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let this = unsafe { This::borrowed(py, object) };
        operation::close(&this)?;
        Ok(py.None().into_ptr())
    })
}

/// What an event of the fd does, for debug mode.
unsafe extern "C" fn ready(
    object: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let this = unsafe { This::borrowed(py, object) };
        operation::ready(&this)?;
        Ok(py.None().into_ptr())
    })
}

unsafe extern "C" fn qualified_name(
    object: *mut ffi::PyObject,
    _: *mut c_void,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let name = unsafe { operation_of(object) }.method.name();
        Ok(PyString::new(py, name).into_any().into_ptr())
    })
}

unsafe extern "C" fn name(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python passes a live instance of the class.
        let name = unsafe { operation_of(object) }.method.name();
        let name = name.split_once('.').map_or(name, |(_, name)| name);
        Ok(PyString::new(py, name).into_any().into_ptr())
    })
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    simple(
        c"send",
        send_method,
        ffi::METH_O,
        c"send($self, value, /)\n--\n\nGo on, as a coroutine: what awaits the operation does this.",
    ),
    fast(
        c"throw",
        throw,
        c"throw($self, typ, val=None, tb=None, /)\n--\n\n\
        End the operation and raise the exception.",
    ),
    simple(c"close", close, ffi::METH_NOARGS, c"close($self, /)\n--\n\nEnd the operation."),
    simple(c"_ready", ready, ffi::METH_NOARGS, c"_ready($self, /)\n--\n\n"),
    ffi::PyMethodDef::zeroed(),
]);

/// The name by which asyncio shows a task's coroutine.
static PROPERTIES: Definitions<ffi::PyGetSetDef> = Definitions(&[
    getter(c"__name__", name),
    getter(c"__qualname__", qualified_name),
    LAST_PROPERTY,
]);

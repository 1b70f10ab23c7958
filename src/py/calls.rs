//! `call_soon`, `call_soon_threadsafe`, `call_later` and `call_at`, by the cheapest calling convention that Python has.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyTuple, PyType};

use super::abi::guard;
use super::event_loop::Loop;
use super::handle::{self, Call};
use crate::core::Time;

/// Adds the methods to the class.
pub fn register(class: &Bound<'_, PyType>) -> PyResult<()> {
    for method in &METHODS.0 {
        let method = ptr::from_ref(method).cast_mut();
        // SAFETY: the definition is static and the class live; a new reference, or null with an exception set.
        let descriptor =
            unsafe { Bound::from_owned_ptr_or_err(class.py(), ffi::PyDescr_NewMethod(class.as_type_ptr(), method))? };
        class.setattr(descriptor.getattr("__name__")?.cast::<PyString>()?, &descriptor)?;
    }
    Ok(())
}

type FastCall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

struct Methods([ffi::PyMethodDef; 4]);

// SAFETY: a constant table of pointers to statics.
unsafe impl Sync for Methods {}

const fn method(name: &'static CStr, function: FastCall, doc: &'static CStr) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }
}

static METHODS: Methods = Methods([
    method(
        c"call_soon",
        call_soon,
        c"call_soon($self, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) in the loop's next iteration, in the given or the current context.\n\n\
        Callbacks run in the order in which they were scheduled. Only from the loop's own thread. Returns a Handle.\n\
        Raises RuntimeError if the loop is closed.",
    ),
    method(
        c"call_soon_threadsafe",
        call_soon_threadsafe,
        c"call_soon_threadsafe($self, callback, /, *args, context=None)\n--\n\n\
        call_soon() for other threads and for signal handlers: wakes the loop. Returns a Handle.\n\
        Raises RuntimeError if the loop is closed.",
    ),
    method(
        c"call_later",
        call_later,
        c"call_later($self, delay, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) after delay seconds, not earlier. Returns a TimerHandle.",
    ),
    method(
        c"call_at",
        call_at,
        c"call_at($self, when, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) at the time when, in seconds of the loop's clock (time()). Returns a TimerHandle.\n\
        Timers that are due at the same time run in the order in which they were scheduled.",
    ),
]);

/// The arguments of a call, as Python's fast convention hands them over: the positional values, then those of the keywords.
struct Raw<'a> {
    method: &'static str,
    positional: &'a [*mut ffi::PyObject],
    /// The tuple of the keywords' names, or null; their values stand behind the positional ones.
    keywords: *mut ffi::PyObject,
}

impl<'a> Raw<'a> {
    /// # Safety
    /// The pointers are those of a call under way, which `'a` does not outlive.
    unsafe fn new(
        method: &'static str,
        args: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> Raw<'a> {
        // SAFETY: the caller's promise. A call without arguments may come with a null pointer.
        let positional = if args.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(args, count as usize) } };
        Raw { method, positional, keywords }
    }

    fn keywords<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyTuple>> {
        // SAFETY: Python passes a tuple, or null.
        unsafe { Some(Bound::from_borrowed_ptr_or_opt(py, self.keywords)?.cast_into_unchecked()) }
    }

    /// The value of the `n`th keyword.
    fn keyword_value<'py>(&self, py: Python<'py>, n: usize) -> Bound<'py, PyAny> {
        // SAFETY: Python passes as many live values behind the positional ones as there are names.
        unsafe { Bound::from_borrowed_ptr(py, *self.positional.as_ptr().add(self.positional.len() + n)) }
    }

    /// The value of the keyword `name`.
    fn keyword<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(names) = self.keywords(py) else { return Ok(None) };
        for (n, keyword) in names.iter_borrowed().enumerate() {
            if keyword.eq(name)? {
                return Ok(Some(self.keyword_value(py, n)));
            }
        }
        Ok(None)
    }

    /// The `n`th of the arguments `names`, which may also be given by name.
    fn required<'py>(&self, py: Python<'py>, n: usize, names: &[&str]) -> PyResult<Bound<'py, PyAny>> {
        if let Some(argument) = self.positional.get(n) {
            // SAFETY: a live argument of the call under way.
            return Ok(unsafe { Bound::from_borrowed_ptr(py, *argument) });
        }
        match self.keyword(py, names[n])? {
            Some(argument) => Ok(argument),
            None => Err(self.missing(py, names)?),
        }
    }

    /// Python's error for a call that lacks some of the arguments `names`.
    fn missing(&self, py: Python<'_>, names: &[&str]) -> PyResult<PyErr> {
        let mut missing = Vec::new();
        for name in names.iter().skip(self.positional.len()) {
            if self.keyword(py, name)?.is_none() {
                missing.push(format!("'{name}'"));
            }
        }
        let plural = if missing.len() == 1 { "" } else { "s" };
        let (count, method, missing) = (missing.len(), self.method, missing.join(" and "));
        let message =
            format!("BaseEventLoop.{method}() missing {count} required positional argument{plural}: {missing}");
        Ok(PyTypeError::new_err(message))
    }

    /// Everything after the first `skip` arguments, for the callback.
    fn rest<'py>(&self, py: Python<'py>, skip: usize) -> PyResult<Bound<'py, PyTuple>> {
        let rest = self.positional.get(skip..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(PyTuple::empty(py));
        }
        // SAFETY: a new tuple, filled with owned references before anyone sees it.
        unsafe {
            let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(rest.len() as ffi::Py_ssize_t))?;
            for (n, item) in rest.iter().enumerate() {
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), n as ffi::Py_ssize_t, ffi::Py_NewRef(*item));
            }
            Ok(tuple.cast_into_unchecked())
        }
    }

    /// The context to run in: the `context` keyword, else a copy of the current one. Refuses keywords other than that and `names`.
    fn context<'py>(&self, py: Python<'py>, names: &[&str]) -> PyResult<Bound<'py, PyAny>> {
        let given = if self.keywords.is_null() {
            None
        } else if is_context_only(self.keywords) {
            Some(self.keyword_value(py, 0))
        } else {
            self.check_keywords(py, names)?;
            remember_if_context_only(&self.keywords(py).unwrap_or_else(|| PyTuple::empty(py)))?;
            self.keyword(py, "context")?
        };
        match given {
            Some(context) if !context.is_none() => Ok(context),
            // SAFETY: a new reference, or null with an exception set.
            _ => unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) },
        }
    }

    /// Refuses keywords other than `context` and `names`, in Python's words.
    fn check_keywords(&self, py: Python<'_>, names: &[&str]) -> PyResult<()> {
        let Some(keywords) = self.keywords(py) else { return Ok(()) };
        for keyword in keywords.iter_borrowed() {
            let keyword = keyword.cast::<PyString>()?.to_cow()?.into_owned();
            let problem = match names.iter().position(|name| *name == keyword) {
                None if keyword == "context" => continue,
                None => "an unexpected keyword argument",
                Some(position) if position < self.positional.len() => "multiple values for argument",
                Some(_) => continue,
            };
            let message = format!("BaseEventLoop.{}() got {problem} '{keyword}'", self.method);
            return Err(PyTypeError::new_err(message));
        }
        Ok(())
    }
}

/// Tuples that are known to be `("context",)`, kept alive here: a task always passes the same one.
static CONTEXT_ONLY: [AtomicPtr<ffi::PyObject>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

fn is_context_only(keywords: *mut ffi::PyObject) -> bool {
    CONTEXT_ONLY.iter().any(|known| known.load(Ordering::Relaxed) == keywords)
}

/// Remembers the tuple if it is `("context",)` and there is room.
fn remember_if_context_only(keywords: &Bound<'_, PyTuple>) -> PyResult<()> {
    if keywords.len() == 1 && keywords.get_item(0)?.eq("context")? {
        let room = CONTEXT_ONLY.iter().find(|known| known.load(Ordering::Relaxed).is_null());
        if let Some(room) = room {
            room.store(keywords.clone().into_ptr(), Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The loop behind `self`.
///
/// # Safety
/// `object` is what Python passed as `self` to a method of `Loop`.
unsafe fn this<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Bound<'py, Loop> {
    // SAFETY: the caller's promise; a method descriptor checks the type of its object.
    unsafe { Bound::from_borrowed_ptr(py, object).cast_into_unchecked() }
}

fn make_soon<'py>(event_loop: &Bound<'py, Loop>, raw: &Raw<'_>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let names = ["callback"];
    let context = raw.context(py, &names)?;
    let callback = raw.required(py, 0, &names)?;
    let this = event_loop.get();
    this.open_driver()?;
    if this.is_debugging() {
        this.check_call(event_loop, &callback, raw.method)?;
    }
    let args = raw.rest(py, 1)?;
    let handle = Call { callback: &callback, args, event_loop: event_loop.as_any(), context }.into_handle()?;
    if this.is_debugging() {
        this.note_origin(&handle)?;
    }
    Ok(handle)
}

unsafe extern "C" fn call_soon(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) = unsafe { (this(py, event_loop), Raw::new("call_soon", args, count, keywords)) };
        let handle = make_soon(&event_loop, &raw)?;
        event_loop.get().driver()?.call_soon(handle.clone().unbind());
        Ok(handle.into_ptr())
    })
}

unsafe extern "C" fn call_soon_threadsafe(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) =
            unsafe { (this(py, event_loop), Raw::new("call_soon_threadsafe", args, count, keywords)) };
        let handle = make_soon(&event_loop, &raw)?;
        event_loop.get().driver()?.remote().send(handle.clone().unbind());
        Ok(handle.into_ptr())
    })
}

fn make_timer<'py>(
    event_loop: &Bound<'py, Loop>,
    raw: &Raw<'_>,
    when: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let this = event_loop.get();
    let driver = this.open_driver()?;
    let deadline = Time::from_secs(when.extract::<f64>()?);
    if this.is_debugging() {
        this.check_call(event_loop, callback, "call_at")?;
    }
    let args = raw.rest(py, 2)?;
    let timer = Call { callback, args, event_loop: event_loop.as_any(), context }.into_timer(when)?;
    if this.is_debugging() {
        this.note_origin(&timer)?;
    }
    let key = driver.call_at(deadline, timer.clone().unbind());
    handle::set_timer_key(&timer, Some(key))?;
    Ok(timer)
}

unsafe extern "C" fn call_at(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) = unsafe { (this(py, event_loop), Raw::new("call_at", args, count, keywords)) };
        let names = ["when", "callback"];
        let context = raw.context(py, &names)?;
        let (when, callback) = (raw.required(py, 0, &names)?, raw.required(py, 1, &names)?);
        if when.is_none() {
            return Err(PyTypeError::new_err("when cannot be None"));
        }
        make_timer(&event_loop, &raw, &when, &callback, context).map(Bound::into_ptr)
    })
}

unsafe extern "C" fn call_later(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) = unsafe { (this(py, event_loop), Raw::new("call_later", args, count, keywords)) };
        let names = ["delay", "callback"];
        let context = raw.context(py, &names)?;
        let (delay, callback) = (raw.required(py, 0, &names)?, raw.required(py, 1, &names)?);
        if delay.is_none() {
            return Err(PyTypeError::new_err("delay must not be None"));
        }
        // As `time() + delay`, with Python's addition where the delay is not a plain float.
        let now = event_loop.get().driver()?.now().as_secs();
        let when = match delay.cast_exact::<PyFloat>() {
            Ok(delay) => PyFloat::new(py, now + delay.value()).into_any(),
            Err(_) => PyFloat::new(py, now).add(&delay)?,
        };
        make_timer(&event_loop, &raw, &when, &callback, context).map(Bound::into_ptr)
    })
}

//! `call_soon`, `call_soon_threadsafe`, `call_later` and `call_at`, by Python's fast calling
//! convention.
//!
//! They are C functions with tables of their own and not methods that pyo3 makes. **Gain**: with
//! pyo3's methods `call-soon-chain` takes 6.3 % more instructions, a burst of `call_soon` 5.7 %,
//! `sleep0-1000-tasks` 4.4 %, `task-create` 4.0 %, `call-later` 2.2 % (callgrind, CPython 3.13;
//! docs/performance.md has the table). And their errors are worded as those of the stock methods.
//! It is safe because [`Arguments`] is the only reader of the raw arguments, and [`guard`] keeps
//! panics and errors from C.

use std::rc::Rc;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};

use super::class::arguments::Arguments;
use super::class::border::{guard, to_float};
use super::class::methods::{Definitions, add_methods, fast};
use super::client::PyDriver;
use super::event_loop::Loop;
use super::handle::{self, HandleParts};
use super::item::Item;
use crate::core::Time;

/// The class that Python's messages name.
const LOOP: &str = "BaseEventLoop";

/// Adds the methods to the class.
pub fn register(class: &Bound<'_, PyType>) -> PyResult<()> {
    add_methods(class, &METHODS)
}

static METHODS: Definitions<ffi::PyMethodDef> = Definitions(&[
    fast(
        c"call_soon",
        call_soon,
        c"call_soon($self, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) in the loop's next iteration, in the given or the current context.\n\n\
        Callbacks run in the order in which they were scheduled. Only from the loop's own thread. \
        Returns a Handle.\n\
        Raises RuntimeError if the loop is closed.",
    ),
    fast(
        c"call_soon_threadsafe",
        call_soon_threadsafe,
        c"call_soon_threadsafe($self, callback, /, *args, context=None)\n--\n\n\
        call_soon() for other threads and for signal handlers: wakes the loop. Returns a Handle.\n\
        Raises RuntimeError if the loop is closed.",
    ),
    fast(
        c"call_later",
        call_later,
        c"call_later($self, delay, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) after delay seconds, not earlier. Returns a TimerHandle.",
    ),
    fast(
        c"call_at",
        call_at,
        c"call_at($self, when, callback, /, *args, context=None)\n--\n\n\
        Call callback(*args) at the time when, in seconds of the loop's clock (time()). Returns a \
        TimerHandle.\n\
        Timers that are due at the same time run in the order in which they were scheduled.",
    ),
]);

/// The loop behind `self`.
///
/// # Safety
/// `object` is what Python passed as `self` to a method of `Loop`.
pub unsafe fn this<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Bound<'py, Loop> {
    // SAFETY: the caller's promise; a method descriptor checks the type of its object.
    unsafe { Bound::from_borrowed_ptr(py, object).cast_into_unchecked() }
}

/// The handle, queued as far as the collector is concerned, and the driver that is to have it.
fn make_soon<'py, 'a>(
    event_loop: &'a Bound<'py, Loop>,
    raw: &Arguments<'_>,
    into_handle: impl FnOnce(HandleParts<'_, 'py>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, &'a Rc<PyDriver>)> {
    let py = event_loop.py();
    let names = ["callback"];
    let context = raw.context(py, &names)?;
    let callback = raw.required(py, 0, &names)?;
    let this = event_loop.get();
    let driver = this.open_driver()?;
    let is_debugging = driver.client().debug();
    if is_debugging {
        this.check_call(event_loop, &callback, raw.method())?;
    }
    let args = raw.rest(py, 1)?;
    let handle = into_handle(HandleParts {
        callback: &callback,
        args,
        event_loop: event_loop.as_any(),
        context,
    })?;
    if is_debugging {
        this.note_origin(&handle)?;
    }
    handle::queue(&handle);
    Ok((handle, driver))
}

unsafe extern "C" fn call_soon(
    event_loop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(|py| {
        // SAFETY: Python's own arguments of the call under way.
        let (event_loop, raw) = unsafe {
            (this(py, event_loop), Arguments::new(LOOP, c"call_soon", args, count, keywords))
        };
        let (handle, driver) = make_soon(&event_loop, &raw, |call| call.into_handle())?;
        driver.call_soon(Item::Handle(handle.clone().unbind()));
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
        let (event_loop, raw) = unsafe {
            (
                this(py, event_loop),
                Arguments::new(LOOP, c"call_soon_threadsafe", args, count, keywords),
            )
        };
        let (handle, driver) = make_soon(&event_loop, &raw, |call| call.into_threadsafe_handle())?;
        let waiting = driver.remote().send_and_count(Item::Handle(handle.clone().unbind()));
        if driver.is_flooded(waiting) {
            let remote = Arc::clone(driver.remote());
            // Without the GIL: the loop needs it for its turn.
            py.detach(|| remote.brake().wait());
        }
        Ok(handle.into_ptr())
    })
}

fn make_timer<'py>(
    event_loop: &Bound<'py, Loop>,
    raw: &Arguments<'_>,
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
    let timer = HandleParts { callback, args, event_loop: event_loop.as_any(), context }
        .into_timer(when)?;
    if this.is_debugging() {
        this.note_origin(&timer)?;
    }
    handle::queue(&timer);
    let key = driver.call_at(deadline, Item::Handle(timer.clone().unbind()));
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
        let (event_loop, raw) = unsafe {
            (this(py, event_loop), Arguments::new(LOOP, c"call_at", args, count, keywords))
        };
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
        let (event_loop, raw) = unsafe {
            (this(py, event_loop), Arguments::new(LOOP, c"call_later", args, count, keywords))
        };
        let names = ["delay", "callback"];
        let context = raw.context(py, &names)?;
        let (delay, callback) = (raw.required(py, 0, &names)?, raw.required(py, 1, &names)?);
        if delay.is_none() {
            return Err(PyTypeError::new_err("delay must not be None"));
        }
        // As `time() + delay`: by Python's own addition if the delay is not a plain float.
        let now = event_loop.get().driver()?.now().as_secs();
        let when = match delay.cast_exact::<PyFloat>() {
            Ok(delay) => to_float(py, now + delay.value())?,
            Err(_) => to_float(py, now)?.add(&delay)?,
        };
        make_timer(&event_loop, &raw, &when, &callback, context).map(Bound::into_ptr)
    })
}

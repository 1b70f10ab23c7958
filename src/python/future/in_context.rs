//! A future that is polled in the `contextvars` context in which it was made.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pyo3::ffi;
use pyo3::prelude::*;

use super::current_loop::Home;
use crate::asyncio::current_context;

/// Polls `F` in a context of Python's, which it leaves between the polls and in nested turns.
pub(super) struct InContext<F> {
    future: F,
    context: Py<PyAny>,
    home: Rc<Home>,
}

impl<F> InContext<F> {
    /// In a copy of the current context.
    pub(super) fn new(py: Python<'_>, home: Rc<Home>, future: F) -> PyResult<InContext<F>> {
        Ok(InContext { future, context: current_context(py)?.unbind(), home })
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned as long as the whole is, and is not moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        Python::attach(|py| {
            let _entered = Entered::new(this.context.bind(py), &this.home);
            // SAFETY: as above.
            unsafe { Pin::new_unchecked(&mut this.future) }.poll(context)
        })
    }
}

/// A stretch in which a context is the current one. Ends when dropped, also by a panic.
struct Entered<'a, 'py> {
    context: Bound<'py, PyAny>,
    home: &'a Home,
    /// The context that the loop knew of before.
    before: *mut ffi::PyObject,
}

impl<'a, 'py> Entered<'a, 'py> {
    /// `None` if the context cannot be entered: somebody else has entered it, who cannot have got
    /// hold of it but by force.
    fn new(context: &Bound<'py, PyAny>, home: &'a Home) -> Option<Entered<'a, 'py>> {
        // SAFETY: a live object; what cannot be entered is refused with an exception.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
            PyErr::fetch(context.py()).write_unraisable(context.py(), Some(context));
            return None;
        }
        let before = home.note_context(context.as_ptr());
        Some(Entered { context: context.clone(), home, before })
    }
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        self.home.note_context(self.before);
        // SAFETY: a live object; Python refuses, with an exception, to exit what is not the current
        // context.
        if unsafe { ffi::PyContext_Exit(self.context.as_ptr()) } < 0 {
            PyErr::fetch(self.context.py())
                .write_unraisable(self.context.py(), Some(&self.context));
        }
    }
}

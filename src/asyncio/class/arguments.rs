//! The arguments of a C function, by Python's fast calling convention.

use std::ffi::CStr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::border::{NEWEST, is_since};
use crate::asyncio::context::current_context;

/// The arguments of a call, in the form of Python's fast convention: the positional values, then
/// those of the keywords.
pub struct Arguments<'a> {
    /// The name of the method's class in Python's messages.
    class: &'static str,
    method: &'static CStr,
    positional: &'a [*mut ffi::PyObject],
    /// The tuple of the keywords' names, or null. Their values stand behind the positional ones.
    keywords: *mut ffi::PyObject,
}

impl<'a> Arguments<'a> {
    /// # Safety
    /// The pointers are those of a call under way, which `'a` does not outlive.
    pub unsafe fn new(
        class: &'static str,
        method: &'static CStr,
        args: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> Arguments<'a> {
        // A call without arguments may come with a null pointer.
        let positional = if args.is_null() {
            &[]
        } else {
            // SAFETY: the caller's promise.
            unsafe { std::slice::from_raw_parts(args, count as usize) }
        };
        Arguments { class, method, positional, keywords }
    }

    /// The method's name.
    pub fn method(&self) -> &'static str {
        self.method.to_str().unwrap_or_default()
    }

    fn keywords<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyTuple>> {
        // SAFETY: Python passes a tuple, or null.
        unsafe { Some(Bound::from_borrowed_ptr_or_opt(py, self.keywords)?.cast_into_unchecked()) }
    }

    /// The value of the `n`th keyword.
    fn keyword_value<'py>(&self, py: Python<'py>, n: usize) -> Bound<'py, PyAny> {
        // SAFETY: Python passes as many live values behind the positional ones as there are names.
        unsafe {
            Bound::from_borrowed_ptr(py, *self.positional.as_ptr().add(self.positional.len() + n))
        }
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

    /// The `n`th of the arguments `names`. It may also be given by name.
    pub fn required<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        names: &[&str],
    ) -> PyResult<Bound<'py, PyAny>> {
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
        let (count, method, missing) = (missing.len(), self.method(), missing.join(" and "));
        let message = format!(
            "{}.{method}() missing {count} required positional argument{plural}: {missing}",
            self.class
        );
        Ok(PyTypeError::new_err(message))
    }

    /// The only argument, which may be given by name.
    pub fn only<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if let ([argument], true) = (self.positional, self.keywords.is_null()) {
            // SAFETY: a live argument of the call under way.
            return Ok(unsafe { Bound::from_borrowed_ptr(py, *argument) });
        }
        let [argument] = self.all(py, [name], 1)?;
        argument.map_or_else(|| Err(self.missing(py, &[name])?), Ok)
    }

    /// The arguments `names`, of which the first `required` must be given. Nothing else may be
    /// given.
    pub fn all<'py, const N: usize>(
        &self,
        py: Python<'py>,
        names: [&str; N],
        required: usize,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        self.check_count(required, N)?;
        self.check_keywords(py, &names, Others::None)?;
        self.values(py, names, required)
    }

    /// The arguments `names`, all of which must be given. Nothing else may be given.
    pub fn required_all<'py, const N: usize>(
        &self,
        py: Python<'py>,
        names: [&str; N],
    ) -> PyResult<[Bound<'py, PyAny>; N]> {
        Ok(self.all(py, names, N)?.map(|value| value.unwrap_or_else(|| py.None().into_bound(py))))
    }

    /// The arguments `names` of a method that replaces one of asyncio's. The first `R` must be
    /// given, and the first `positional` may be given by position. A Python newer than those that
    /// were tested may have added keywords. They are ignored: the package has warned of such a
    /// Python when it was imported.
    pub fn open<'py, const N: usize, const R: usize, const O: usize>(
        &self,
        py: Python<'py>,
        names: [&str; N],
        positional: usize,
    ) -> PyResult<Opened<'py, R, O>> {
        const { assert!(N == R + O) };
        self.check_count(R, positional)?;
        let others = if is_since(NEWEST + 1) { Others::Any } else { Others::None };
        self.check_keywords(py, &names, others)?;
        let mut values = self.values(py, names, R)?.into_iter();
        let required = std::array::from_fn(|_| {
            values.next().flatten().unwrap_or_else(|| py.None().into_bound(py))
        });
        Ok((required, std::array::from_fn(|_| values.next().flatten())))
    }

    /// Refuses too many positional values, in Python's words.
    fn check_count(&self, required: usize, most: usize) -> PyResult<()> {
        if self.positional.len() <= most {
            return Ok(());
        }
        let (class, method, given) = (self.class, self.method(), self.positional.len() + 1);
        let takes = if required < most {
            format!("from {} to {}", required + 1, most + 1)
        } else {
            format!("{}", most + 1)
        };
        let message =
            format!("{class}.{method}() takes {takes} positional arguments but {given} were given");
        Err(PyTypeError::new_err(message))
    }

    fn values<'py, const N: usize>(
        &self,
        py: Python<'py>,
        names: [&str; N],
        required: usize,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        let mut values = [const { None }; N];
        for (n, value) in values.iter_mut().enumerate() {
            *value = match self.positional.get(n) {
                // SAFETY: a live argument of the call under way.
                Some(argument) => Some(unsafe { Bound::from_borrowed_ptr(py, *argument) }),
                None => self.keyword(py, names[n])?,
            };
        }
        if values[..required].iter().any(Option::is_none) {
            return Err(self.missing(py, &names[..required])?);
        }
        Ok(values)
    }

    /// Everything after the first `skip` arguments, for the callback.
    pub fn rest<'py>(&self, py: Python<'py>, skip: usize) -> PyResult<Bound<'py, PyTuple>> {
        let rest = self.positional.get(skip..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(PyTuple::empty(py));
        }
        // SAFETY: a new tuple, filled with owned references before anyone sees it.
        unsafe {
            let tuple =
                Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(rest.len() as ffi::Py_ssize_t))?;
            for (n, item) in rest.iter().enumerate() {
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), n as ffi::Py_ssize_t, ffi::Py_NewRef(*item));
            }
            Ok(tuple.cast_into_unchecked())
        }
    }

    /// The context to run in: the `context` keyword, or else a copy of the current one. Refuses
    /// keywords other than `context` and `names`.
    pub fn context<'py>(&self, py: Python<'py>, names: &[&str]) -> PyResult<Bound<'py, PyAny>> {
        let given = match self.keywords(py) {
            None => None,
            Some(keywords) if is_context_only(&keywords) => Some(self.keyword_value(py, 0)),
            Some(_) => {
                self.check_keywords(py, names, Others::Context)?;
                self.keyword(py, "context")?
            }
        };
        match given {
            Some(context) if !context.is_none() => Ok(context),
            _ => current_context(py),
        }
    }

    /// Refuses keywords other than `names` and the `others`, in Python's words.
    fn check_keywords(&self, py: Python<'_>, names: &[&str], others: Others) -> PyResult<()> {
        let Some(keywords) = self.keywords(py) else { return Ok(()) };
        for keyword in keywords.iter_borrowed() {
            let keyword = keyword.cast::<PyString>()?.to_cow()?.into_owned();
            let problem = match names.iter().position(|name| *name == keyword) {
                None if others == Others::Any
                    || keyword == "context" && others == Others::Context =>
                {
                    continue;
                }
                None => "an unexpected keyword argument",
                Some(position) if position < self.positional.len() => {
                    "multiple values for argument"
                }
                Some(_) => continue,
            };
            let message = format!("{}.{}() got {problem} '{keyword}'", self.class, self.method());
            return Err(PyTypeError::new_err(message));
        }
        Ok(())
    }
}

/// Arguments that must be given, and those that may be.
type Opened<'py, const R: usize, const O: usize> =
    ([Bound<'py, PyAny>; R], [Option<Bound<'py, PyAny>>; O]);

/// Which keywords a method takes besides those that it names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    /// `context`.
    Context,
    Any,
}

/// An argument that may be left out, or be None.
pub fn given<'py>(argument: Option<Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    argument.filter(|argument| !argument.is_none())
}

/// Whether `context` is the only keyword, as in each call that a task makes.
fn is_context_only(keywords: &Bound<'_, PyTuple>) -> bool {
    let [keyword] = keywords.as_slice() else { return false };
    keyword.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(|name| name == "context"))
}

//! Which fds are in use by transports: none, where transports are asyncio's own.

use std::cell::RefCell;
use std::collections::HashMap;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyWeakrefMethods, PyWeakrefReference};

use crate::core::{Direction, Fd};

/// A loop's transports by fd. It keeps no transport alive.
#[derive(Default)]
pub struct Transports {
    /// The transports of sockets. Nobody else may use their fds.
    sockets: RefCell<HashMap<Fd, User>>,
    /// The transports of pipes' ends, by fd and direction: a socket may be both ends. Others may
    /// use their fds, as with stock asyncio. They are kept here only to be found.
    pipes: RefCell<HashMap<(Fd, Direction), Py<PyWeakrefReference>>>,
}

struct User {
    transport: Py<PyWeakrefReference>,
    has_its_fd: HasItsFd,
}

/// Whether a transport still has its fd: the program may have closed it.
pub type HasItsFd = fn(&Bound<'_, PyAny>) -> bool;

impl Transports {
    /// The transport uses the fd from now on.
    pub fn insert(
        &self,
        fd: Fd,
        transport: &Bound<'_, PyAny>,
        has_its_fd: HasItsFd,
    ) -> PyResult<()> {
        let user = User { transport: PyWeakrefReference::new(transport)?.unbind(), has_its_fd };
        let before = self.sockets.borrow_mut().insert(fd, user);
        drop(before);
        Ok(())
    }

    /// The transport has stopped using the fd.
    pub fn remove(&self, fd: Fd, transport: &Bound<'_, PyAny>) {
        let found = self.find(transport.py(), fd).map(|(found, _)| found);
        // A transport that is about to be freed may not be found any more.
        if found.is_none_or(|found| found.is(transport)) {
            let removed = self.sockets.borrow_mut().remove(&fd);
            drop(removed);
        }
    }

    /// The transport of a pipe's end, until [`remove_pipe`](Transports::remove_pipe).
    pub fn insert_pipe(&self, end: (Fd, Direction), transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let reference = PyWeakrefReference::new(transport)?.unbind();
        let before = self.pipes.borrow_mut().insert(end, reference);
        drop(before);
        Ok(())
    }

    /// The transport has no pipe any more.
    pub fn remove_pipe(&self, end: (Fd, Direction), transport: &Bound<'_, PyAny>) {
        let py = transport.py();
        let found = self.pipes.borrow().get(&end).and_then(|it| it.bind(py).upgrade());
        if found.is_none_or(|found| found.is(transport)) {
            let removed = self.pipes.borrow_mut().remove(&end);
            drop(removed);
        }
    }

    /// All transports whose file is still open, for Python code to look at.
    pub fn all<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let sockets: Vec<_> = {
            let users = self.sockets.borrow();
            let alive = |user: &User| Some((user.transport.bind(py).upgrade()?, user.has_its_fd));
            users.values().filter_map(alive).collect()
        };
        let pipes: Vec<_> =
            self.pipes.borrow().values().filter_map(|it| it.bind(py).upgrade()).collect();
        // They are asked after the borrow has ended.
        let sockets = sockets
            .into_iter()
            .filter(|(transport, has_its_fd)| has_its_fd(transport))
            .map(|(transport, _)| transport);
        sockets.chain(pipes).collect()
    }

    fn find<'py>(&self, py: Python<'py>, fd: Fd) -> Option<(Bound<'py, PyAny>, HasItsFd)> {
        let users = self.sockets.borrow();
        let user = users.get(&fd)?;
        Some((user.transport.bind(py).upgrade()?, user.has_its_fd))
    }

    /// Checks that no transport uses the fd, a number or an object that has one.
    ///
    /// # Errors
    /// `ValueError` if it is neither, `RuntimeError` if a transport uses it.
    pub fn check_free(&self, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        let number = if fd.is_instance_of::<PyInt>() {
            fd.extract::<Fd>().ok()
        } else {
            Some(number_of(fd)?)
        };
        match number.map_or(Ok(None), |number| self.user(fd.py(), number))? {
            Some(transport) => Err(used(fd, &transport)?),
            None => Ok(()),
        }
    }

    /// As [`check_free`](Transports::check_free), for a number.
    ///
    /// # Errors
    /// `RuntimeError` if a transport uses it.
    pub fn check_number(&self, py: Python<'_>, number: Fd) -> PyResult<()> {
        match self.user(py, number)? {
            Some(transport) => Err(used(number.into_pyobject(py)?.as_any(), &transport)?),
            None => Ok(()),
        }
    }

    /// The transport that uses the fd. A transport whose socket the program has closed does not use
    /// it: the number means another file.
    fn user<'py>(&self, py: Python<'py>, number: Fd) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((transport, has_its_fd)) = self.find(py, number) else { return Ok(None) };
        let is_closing = transport.call_method0("is_closing")?.is_truthy()?;
        Ok((!is_closing && has_its_fd(&transport)).then_some(transport))
    }
}

fn used(fd: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let message =
        format!("File descriptor {} is used by transport {}", fd.repr()?, transport.repr()?);
    Ok(PyRuntimeError::new_err(message))
}

fn number_of(fd: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let number = fd.call_method0("fileno").and_then(|number| number.extract());
    number.map_err(|_| match fd.repr() {
        Ok(fd) => PyValueError::new_err(format!("Invalid file object: {fd}")),
        Err(error) => error,
    })
}

//! Open files: whatever makes a system call on one borrows its fd, for that one call.
//!
//! A number outlives its file, and soon means another file. So nobody keeps a number to make system
//! calls with. A file that was closed here has no fd to lend. A socket object of Python's may also
//! be closed by the program. So the object is asked for its number just before each call, as
//! Python's own methods do. No Python code runs between that question and the end of the call.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyType};
use rustix::io::Errno;

use super::class::visitor::Visitor;
use crate::core::Fd;

/// An open file, until it is closed.
pub struct OpenFile {
    /// The number that it has, or had.
    number: Fd,
    state: RefCell<State>,
}

enum State {
    /// A file that Python knows nothing of: an accepted connection. Most programs never ask for its
    /// socket.
    Bare(OwnedFd),
    /// Python's object, which closes the file.
    Python(Py<PyAny>),
    Closed,
}

impl OpenFile {
    /// An accepted connection.
    pub fn bare(fd: OwnedFd) -> OpenFile {
        OpenFile { number: fd.as_raw_fd(), state: RefCell::new(State::Bare(fd)) }
    }

    /// Python's socket, or file object.
    ///
    /// # Errors
    /// What its `fileno()` raises.
    pub fn of_python(object: &Bound<'_, PyAny>) -> PyResult<OpenFile> {
        Ok(OpenFile {
            number: number_of(object)?,
            state: RefCell::new(State::Python(object.clone().unbind())),
        })
    }

    /// The number that the file has, or had: for a message, or to find a watch. Never make a system
    /// call with it.
    pub fn number(&self) -> Fd {
        self.number
    }

    /// Whether it was closed here. Others may have closed Python's object.
    pub fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Closed)
    }

    /// Lends the fd for a system call. `call` must not call Python.
    ///
    /// # Errors
    /// `EBADF` if the file is closed, and what `call` returns.
    #[inline]
    pub fn lend<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let state = self.state.borrow();
        if let State::Bare(fd) = &*state {
            return call(fd.as_fd());
        }
        drop(state);
        let number = self.open_number(py)?;
        // SAFETY: Python's object has this number open, as it has just said; no other code of
        // Python's runs, on this thread or another, before the call is over.
        call(unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// The number, if the file is open: for a watch that begins right now.
    ///
    /// # Errors
    /// `EBADF` if it is closed, also if the program has closed Python's object. Other errors of its
    /// `fileno()` are the inner error.
    pub fn open_number(&self, py: Python<'_>) -> io::Result<Fd> {
        let object = match &*self.state.borrow() {
            State::Bare(_) => return Ok(self.number),
            State::Python(object) => object.bind(py).clone(),
            State::Closed => return Err(Errno::BADF.into()),
        };
        let number = open_number_of(&object)?;
        // Another number is another file. And a `fileno()` in Python may have closed the file.
        if number == self.number && !self.is_closed() {
            Ok(number)
        } else {
            Err(Errno::BADF.into())
        }
    }

    /// Python's object, if there is one.
    pub fn object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match &*self.state.borrow() {
            State::Python(object) => Some(object.bind(py).clone()),
            State::Bare(_) | State::Closed => None,
        }
    }

    /// Replaces the object that stands for the file; `None`: somebody else closes the file.
    pub fn set_object(&self, object: Option<Bound<'_, PyAny>>) {
        let state = object.map_or(State::Closed, |object| State::Python(object.unbind()));
        let before = self.state.replace(state);
        drop(before);
    }

    /// Python's socket, made now if there is none yet; `None` if the file is closed.
    ///
    /// # Errors
    /// What Python raises. The state is then as before.
    pub fn socket<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !matches!(&*self.state.borrow(), State::Bare(_)) {
            return Ok(self.object(py));
        }
        let class = &sockets(py)?.class;
        let socket = class.bind(py).call_method1(intern!(py, "__new__"), (class,))?;
        let made = self.fill(&socket);
        // A signal handler may have run, and may have raised something or closed this file. Whoever
        // has the file now closes it, and nobody else.
        let is_taken = made.is_ok() && matches!(&*self.state.borrow(), State::Bare(_));
        if !is_taken {
            sockets(py)?.detach.bind(py).call1((&socket,))?;
            return made.map(|()| self.object(py));
        }
        if let State::Bare(fd) = self.state.replace(State::Python(socket.clone().unbind())) {
            let _closed_by_the_object_from_now_on: Fd = fd.into_raw_fd();
        }
        Ok(Some(socket))
    }

    /// Gives a socket of Python's our number. If it fails, the socket may have the number all the
    /// same.
    fn fill(&self, socket: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = socket.py();
        let number = [("fileno", self.number)].into_py_dict(py)?;
        socket.call_method(intern!(py, "__init__"), (), Some(&number))?;
        socket.call_method1(intern!(py, "setblocking"), (false,)).map(drop)
    }

    /// Closes the file: from now on there is nothing to lend.
    ///
    /// # Errors
    /// What Python's object raises when it is closed.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.state.replace(State::Closed) {
            State::Python(object) => {
                object.into_bound(py).call_method0(intern!(py, "close")).map(drop)
            }
            State::Bare(_) | State::Closed => Ok(()),
        }
    }

    /// Shows the reference to the garbage collector.
    pub fn visit(&self, visitor: &mut Visitor) {
        if let Ok(state) = self.state.try_borrow()
            && let State::Python(object) = &*state
        {
            visitor.see(Some(object));
        }
    }
}

/// Lends the fd of a socket of the program for a system call. `call` must not call Python.
///
/// # Errors
/// `EBADF` if it is closed, and what `call` returns.
pub fn lend<R>(
    object: &Bound<'_, PyAny>,
    call: impl FnOnce(BorrowedFd<'_>) -> io::Result<R>,
) -> io::Result<R> {
    let number = open_number_of(object)?;
    // SAFETY: as in `OpenFile::lend`.
    call(unsafe { BorrowedFd::borrow_raw(number) })
}

/// The number that the object has open at this moment.
///
/// # Errors
/// `EBADF` if it says that it is closed. Other errors of its `fileno()` are the inner error.
pub fn open_number_of(object: &Bound<'_, PyAny>) -> io::Result<Fd> {
    match number_of(object) {
        Ok(number) if number >= 0 => Ok(number),
        Ok(_) => Err(Errno::BADF.into()),
        // File objects say by these errors that they are closed.
        Err(error) if error.is_instance_of::<PyValueError>(object.py()) => Err(Errno::BADF.into()),
        Err(error) if error.is_instance_of::<PyOSError>(object.py()) => Err(Errno::BADF.into()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Parts of Python's `socket` module that are used often.
struct Sockets {
    class: Py<PyAny>,
    /// The class written in C, and its methods. They run no code of the program, whatever a
    /// subclass defines.
    base: Py<PyType>,
    fileno: Py<PyAny>,
    detach: Py<PyAny>,
}

fn sockets(py: Python<'_>) -> PyResult<&'static Sockets> {
    static SOCKETS: PyOnceLock<Sockets> = PyOnceLock::new();
    SOCKETS.get_or_try_init(py, || {
        let base = py.import("_socket")?.getattr("socket")?.cast_into::<PyType>()?;
        let method = |name| base.getattr(name).map(Bound::unbind);
        let (fileno, detach) = (method("fileno")?, method("detach")?);
        Ok(Sockets {
            class: py.import("socket")?.getattr("socket")?.unbind(),
            base: base.unbind(),
            fileno,
            detach,
        })
    })
}

/// The number that the object has at this moment: -1 if a socket is closed.
///
/// # Errors
/// What `fileno()` raises: `ValueError` if a file object is closed.
pub fn number_of(object: &Bound<'_, PyAny>) -> PyResult<Fd> {
    let py = object.py();
    let sockets = sockets(py)?;
    // SAFETY: a live object and a live class.
    let is_socket =
        unsafe { ffi::PyObject_TypeCheck(object.as_ptr(), sockets.base.as_ptr().cast()) } != 0;
    let number = if is_socket {
        sockets.fileno.bind(py).call1((object,))?
    } else {
        object.call_method0(intern!(py, "fileno"))?
    };
    number.extract()
}

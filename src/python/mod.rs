//! Rust futures on Python's loop: in one thread, with one runtime.
//!
//! For extension modules, with the feature `python`. [`future_into_py`] makes a Rust future awaitable, [`into_future`] makes what Python
//! awaits a Rust future; both kinds run as tasks of the same loop, `qtloop.EventLoop`, turn about, on the thread of Qt and of Python.
//! Nothing is handed to another thread, so a future need not be `Send`. What [`sleep`](crate::sleep),
//! [`spawn_local`](crate::spawn_local) and the other futures of this crate want of a loop they find inside such a future.
//!
//! ```no_run
//! use std::time::Duration;
//! use pyo3::prelude::*;
//! use qtloop::python::{future_into_py, into_future};
//!
//! /// `await slowly(callback)` in Python: waits, then awaits `callback()` and returns what that returns.
//! #[pyfunction]
//! fn slowly<'py>(py: Python<'py>, callback: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
//!     future_into_py(py, async move {
//!         qtloop::sleep(Duration::from_secs(1)).await;
//!         let called = Python::attach(|py| into_future(callback.bind(py).call0()?))?;
//!         called.await
//!     })
//! }
//! ```
//!
//! # Which loop
//!
//! The one that runs on this thread or is attached to it: [`current_loop`]. The first Rust future binds a loop to its thread: it does not
//! run on another one any more. A loop that is closed drops its Rust futures; closed by another thread, it must not, and leaks them with
//! a `ResourceWarning`.
//!
//! # The GIL
//!
//! The loop polls with the GIL held, and so it drops futures. [`Python::attach`](pyo3::Python::attach) inside costs next to nothing;
//! what takes long is for [`Python::detach`](pyo3::Python::detach), or for another thread.
//!
//! # What Python's garbage collector sees
//!
//! It does not see what a Rust future refers to. A cycle through one is freed when the future has ended, or when the loop is closed.
//! So a loop with a Rust future that is pending is not collected before it is closed; `qtloop.run` and `asyncio.Runner` close theirs.

mod awaitable;
mod context;
mod event_loop;
mod future;
#[cfg(feature = "async-runtimes")]
mod runtime;

pub use awaitable::into_future;
pub use event_loop::{current_loop, handle_of};
pub use future::future_into_py;
#[cfg(feature = "async-runtimes")]
pub use runtime::{Qtloop, Spawned};

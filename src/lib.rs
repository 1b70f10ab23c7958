//! asyncio inside Qt's event loop, with the scheduling core in Rust.
//!
//! # The path of one `call_soon`
//!
//! `loop.call_soon(f)` makes a handle (`asyncio::handle`) and gives it to
//! [`driver::Driver::call_soon`]. [`core::Ready`] queues it. If the [`host`] is not armed yet the
//! driver arms it: once, not once per call. The host (Qt's zero-timeout timer) comes round and
//! reports [`host::Event::Ready`]. The driver takes the host's time, looks at every source of work
//! (other threads' inbox, file descriptors, timers), and runs what is ready as one batch, batch
//! after batch until nothing is ready or the turn's slice is spent. `asyncio::client` calls `f` in
//! its context; an error goes to the loop's exception handler. At the end of the turn the driver
//! tells the host what to wait for: ready work, the next deadline, file descriptors.
//!
//! # Modules
//!
//! * [`core`]: what is ready, what is due when, who watches which fd. Data structures without
//!   clock, Qt or Python.
//! * [`host`]: where events come from. The [`host::Host`] trait is the contract; a simulated host;
//!   what hosts share.
//! * [`driver`]: one turn.
//! * [`task`]: the executor of Rust futures; what programs use of it is re-exported here.
//! * [`io`]: the system calls of transports, and what waits to be written.
//! * [`sys`]: what differs from one operating system to the next.
//! * `qt` (feature `qt`): the native host for Qt 6 and 5.15; the signals of any `QObject`.
//! * `qml` (feature `qml`): promises, models, and tasks that end with their object, for QML
//!   applications.
//! * `asyncio` (feature `python`): the Python module `qtloop._core`.
//! * `python` (feature `python`): Rust futures on Python's loop, for extension modules and for
//!   programs that embed Python; with the feature `async-runtimes` as a runtime of the crate
//!   `pyo3-async-runtimes` too.

#[cfg(feature = "python")]
mod asyncio;
pub mod core;
pub mod driver;
pub mod host;
pub mod io;
mod panics;
#[cfg(feature = "python")]
pub mod python;
#[cfg(feature = "qml")]
pub mod qml;
#[cfg(feature = "qt")]
pub mod qt;
#[cfg(any(feature = "python", feature = "qt-module"))]
mod subinterpreter;
mod sync;
pub mod sys;
pub mod task;

#[cfg(feature = "qt")]
pub use qt::run;
pub use task::net;
pub use task::{
    Attachment, BlockOnError, Elapsed, EventLoop, Handle, Interval, JoinError, JoinHandle,
    LocalHandle, Readiness, Sleep, interval, sleep, sleep_until, spawn_local, timeout, yield_now,
};
#[cfg(unix)]
pub use task::{pipe, process};

/// The examples of the guide for Rust programs.
#[cfg(all(doctest, feature = "qt"))]
#[doc = include_str!("../docs/rust.md")]
struct RustGuide;

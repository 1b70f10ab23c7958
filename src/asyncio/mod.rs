//! The Python module `qtloop._core`: converts, calls the driver, converts back.

#![cfg_attr(
    windows,
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "what is left over is for transports of Rust's"
    )
)]

#[cfg(unix)]
mod address;
#[cfg(unix)]
mod audit;
mod calls;
mod cancel;
mod class;
mod client;
mod context;
mod entrance;
mod errors;
mod event_loop;
mod fatal;
mod handle;
mod host;
mod item;
mod mailbox;
mod metrics;
mod nested;
#[cfg(unix)]
mod open_file;
#[cfg(unix)]
mod plain_socket;
mod python_half;
mod queues;
mod read_buffer;
mod registry;
mod running;
mod rust_futures;
#[cfg(unix)]
mod sock;
#[cfg(windows)]
mod stock_io;
#[cfg(unix)]
mod stream_reader;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod transport;
#[cfg(unix)]
mod unix;
mod watchdog;

pub(crate) use self::context::current_context;
// Transports and `sock_*` are Rust on Unix, and asyncio's own elsewhere. This says which.
#[cfg(windows)]
use self::stock_io as own_io;
#[cfg(unix)]
use self::unix as own_io;
use pyo3::prelude::*;

/// `qtloop._core`. Needs the GIL: a loop's state is guarded by it.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::subinterpreter::refuse(module)?;
    let py = module.py();
    module.add("NEWEST", (3, class::border::NEWEST))?;
    module.add("POLLER", event_loop::DEFAULT_FDS)?;
    handle::register(module, &cancel::METHODS)?;
    module.add_class::<event_loop::Loop>()?;
    module.add_class::<running::Running>()?;
    module.add_class::<watchdog::Stretches>()?;
    module.add_class::<entrance::Entrance>()?;
    module.add_class::<mailbox::Mailbox>()?;
    calls::register(&py.get_type::<event_loop::Loop>())?;
    own_io::register(module)?;
    module.add_function(wrap_pyfunction!(python_half::use_modules, module)?)?;
    module.add_function(wrap_pyfunction!(running::ensure, module)?)?;
    module.add_function(wrap_pyfunction!(running::aside, module)?)?;
    module.add_function(wrap_pyfunction!(entrance::enter_from_python, module)?)
}

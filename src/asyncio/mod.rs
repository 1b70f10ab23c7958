//! The Python module `qtloop._core`: converts, calls the driver, converts back.

mod address;
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
mod open_file;
mod plain_socket;
mod python_half;
mod queues;
mod read_buffer;
mod running;
mod rust_futures;
mod sock;
mod stream_reader;
mod tls;
mod transport;
mod watchdog;

pub(crate) use self::context::current_context;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

/// `qtloop._core`. Needs the GIL: a loop's state is guarded by it.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::subinterpreter::refuse(module)?;
    let py = module.py();
    module.add("NEWEST", (3, class::border::NEWEST))?;
    module.add("POLLER", crate::sys::Poller::NAME)?;
    handle::register(module, &cancel::METHODS)?;
    transport::register(module)?;
    tls::register(module)?;
    module.add_class::<event_loop::Loop>()?;
    module.add_class::<running::Running>()?;
    module.add_class::<watchdog::Stretches>()?;
    module.add_class::<entrance::Entrance>()?;
    module.add_class::<mailbox::Mailbox>()?;
    calls::register(&py.get_type::<event_loop::Loop>())?;
    sock::register(module)?;
    let after_fork = wrap_pyfunction!(after_fork, module)?;
    let in_child = [("after_in_child", after_fork)].into_py_dict(py)?;
    py.import("os")?.getattr("register_at_fork")?.call((), Some(&in_child))?;
    module.add_function(wrap_pyfunction!(python_half::use_modules, module)?)?;
    module.add_function(wrap_pyfunction!(running::ensure, module)?)?;
    module.add_function(wrap_pyfunction!(running::aside, module)?)?;
    module.add_function(wrap_pyfunction!(entrance::enter_from_python, module)?)?;
    module.add_function(wrap_pyfunction!(host::check_host, module)?)
}

#[pyfunction]
fn after_fork() {
    crate::sys::after_fork();
}

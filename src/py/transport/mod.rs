//! Transports and listeners: the system calls are [`crate::io`]'s, the semantics those of asyncio's selector loop.
//!
//! A transport holds no borrow while it calls its protocol, which may call any method of it, or run a nested loop in which the
//! transport's own events go on.

mod address;
mod channel;
mod datagram;
mod flow;
mod listener;
mod pipe;
mod read_pipe;
mod reader;
mod shared;
mod socket;
mod socketed;
mod stream;
mod write_pipe;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use self::shared::Transport;
use super::extension::{self, Instance};

pub use datagram::Datagram;
pub use listener::Listener;
pub use read_pipe::ReadPipe;
pub use stream::{Stream, lend};
pub use write_pipe::WritePipe;

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let constants = module.py().import("asyncio.constants")?;
    let stream = extension::register::<Stream>(module)?;
    stream.setattr("_start_tls_compatible", true)?;
    stream.setattr("_sendfile_compatible", constants.getattr("_SendfileMode")?.getattr("TRY_NATIVE")?)?;
    extension::register::<Datagram>(module)?;
    extension::register::<ReadPipe>(module)?;
    extension::register::<WritePipe>(module)?;
    module.add("ACCEPTED_AT_ONCE", listener::ACCEPTED_AT_ONCE)?;
    module.add_class::<Listener>()
}

/// Whether the socket's transport has its fd still, which the program may have closed.
pub fn has_its_fd(transport: &Bound<'_, PyAny>) -> bool {
    let py = transport.py();
    Instance::<Stream>::of(transport).is_ok_and(|stream| stream.channel().owner().open_number(py).is_ok())
        || Instance::<Datagram>::of(transport).is_ok_and(|datagram| datagram.channel().owner().open_number(py).is_ok())
}

/// The Python module that does what is rare.
fn rare(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static RARE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    // Looked up once: each connection comes here.
    Ok(RARE.get_or_try_init(py, || py.import("qtloop._transports").map(Bound::unbind))?.bind(py))
}

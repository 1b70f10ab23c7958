//! Transports and listeners: the system calls are [`crate::io`]'s, the semantics those of asyncio's
//! selector loop.
//!
//! A transport holds no borrow while it calls its protocol, which may call any method of it, or run
//! a nested loop in which the transport's own events go on.

mod channel;
mod ending;
mod flow;
mod loop_methods;
mod pipe;
mod reading;
pub mod registry;
mod shared;
mod socket;

/// Stream sockets, for TLS.
pub mod streams {
    pub use super::socket::reader::{Reader, is_for_streams};
    pub use super::socket::stream::{is_stream, write_to as write};
}

use pyo3::prelude::*;

use self::pipe::read::ReadPipe;
use self::pipe::write::WritePipe;
use self::socket::datagram::Datagram;
use self::socket::listener::Listener;
use self::socket::stream::Stream;
use super::class::extension;
use super::event_loop::Loop;

/// Adds the classes to the module, and the methods that make transports to the loop.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let constants = module.py().import("asyncio.constants")?;
    let stream = extension::register::<Stream>(module)?;
    stream.setattr("_start_tls_compatible", true)?;
    stream.setattr(
        "_sendfile_compatible",
        constants.getattr("_SendfileMode")?.getattr("TRY_NATIVE")?,
    )?;
    extension::register::<Datagram>(module)?;
    extension::register::<ReadPipe>(module)?;
    extension::register::<WritePipe>(module)?;
    module.add("ACCEPTED_AT_ONCE", socket::listener::ACCEPTED_AT_ONCE)?;
    module.add_class::<Listener>()?;
    loop_methods::register(&module.py().get_type::<Loop>())
}

//! Transports and listeners. Their system calls are in [`crate::io`]. Their semantics are those of
//! asyncio's selector loop.
//!
//! A transport holds no borrow while it calls its protocol. The protocol may call any method of the
//! transport, or run a nested loop in which the transport's events go on.

mod channel;
mod ending;
mod flow;
mod loop_methods;
mod pipe;
mod reading;
mod shared;
mod socket;

use pyo3::prelude::*;

use self::pipe::read::ReadPipe;
use self::pipe::write::WritePipe;
use self::socket::datagram::Datagram;
use self::socket::dialed::Dialed;
use self::socket::listener::Listener;
use self::socket::stream::{self, Stream};
use super::class::extension;
use super::event_loop::Loop;
use super::tls;

/// Adds the classes to the module, and the methods that make transports to the loop.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let constants = module.py().import("asyncio.constants")?;
    let class = extension::register::<Stream>(module)?;
    class.setattr("_start_tls_compatible", true)?;
    class.setattr(
        "_sendfile_compatible",
        constants.getattr("_SendfileMode")?.getattr("TRY_NATIVE")?,
    )?;
    tls::use_stream(stream::is_stream, stream::write_to);
    extension::register::<Datagram>(module)?;
    extension::register::<ReadPipe>(module)?;
    extension::register::<WritePipe>(module)?;
    module.add_class::<Listener>()?;
    module.add_class::<Dialed>()?;
    loop_methods::register(&module.py().get_type::<Loop>())
}

//! TLS: the data's way between a transport and a program's protocol.
//!
//! The protocol of a TLS connection is asyncio's own `SSLProtocol` with [`Engine`] before it. What
//! happens once a connection stays Python's: the handshake, the end, what can be asked. What
//! happens for every record is here. Both see the same state, which the engine keeps under the
//! names by which the stock class knows it.
//!
//! Encryption is that of the program's own `SSLContext`: the engine calls the methods of Python's
//! `MemoryBIO` and of the C object behind `SSLObject`. Any of these calls may run the program's
//! code, as may the protocol's methods. So nothing is borrowed meanwhile.

mod app_transport;
mod attributes;
mod calls;
mod engine;
mod methods;
mod names;
mod reading;
mod scratch;
mod stock;
mod stream;
mod writing;

use pyo3::prelude::*;

pub use self::engine::Engine;
pub use self::reading::received;
pub use self::scratch::Scratch;
pub use self::stream::use_stream;
use super::class::methods::add_properties;

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    add_properties(&module.py().get_type::<Engine>(), &attributes::PROPERTIES)?;
    module.add_function(wrap_pyfunction!(app_transport::add_tls_methods, module)?)
}

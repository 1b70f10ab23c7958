//! TLS: the way of the data between a transport and a program's protocol.
//!
//! The protocol of a TLS connection inherits from [`Engine`] first, and then from asyncio's own
//! `SSLProtocol`. What happens once in a connection stays in Python: the handshake, the end, the
//! attributes that can be asked for. What happens for every record is here. Both see the same
//! state: the engine keeps it, under the names by which the stock class knows it.
//!
//! The program's own `SSLContext` encrypts: the engine calls the methods of Python's `MemoryBIO`
//! and of the C object behind `SSLObject`. Each of these calls may run code of the program, and so
//! may the protocol's methods. So nothing is borrowed meanwhile.

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

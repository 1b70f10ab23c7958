//! What of the module Windows has in place of transports of Rust's: those are asyncio's own there,
//! and a thread of Rust's awaits their completions.

mod completions;
mod port;

use pyo3::prelude::*;

use self::completions::Completions;

/// Adds it to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Completions>()
}

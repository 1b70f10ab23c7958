//! The part of the Python module that exists on Windows only. There the transports are asyncio's
//! own, and a thread in Rust waits for their completions.

mod completions;
mod port;

use pyo3::prelude::*;

use self::completions::Completions;

/// Adds that part to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Completions>()
}

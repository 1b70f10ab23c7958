//! Classes for Python that pyo3 cannot make, and their methods: C functions called in the cheapest
//! way that Python has.

pub mod arguments;
pub mod border;
pub mod buffer;
pub mod extension;
pub mod maker;
pub mod memory;
pub mod methods;
pub mod trash;
pub mod visitor;
pub mod wrappers;

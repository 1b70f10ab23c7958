//! The executor across the border of a shared object: what is scheduled has the layout of C.

#[cfg(feature = "python")]
pub mod export;
pub mod job;
#[cfg(feature = "python")]
pub mod table;

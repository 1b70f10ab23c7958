//! What threads share memory by: the standard library's, or stand-ins whose interleavings a test
//! can try, for `make loom`.

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

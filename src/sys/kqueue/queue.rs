//! The kqueue that is used: the kernel's, or a library's in its place.

#[cfg(qtloop_libkqueue)]
pub use super::libkqueue::{Event, EventFilter, EventFlags, Kqueue, ProcessEvents};
#[cfg(not(qtloop_libkqueue))]
pub use super::native::{Event, EventFilter, EventFlags, Kqueue, ProcessEvents};

//! Chooses the kqueue: the kernel's, or the library's in its place.

#[cfg(qtloop_libkqueue)]
pub use super::libkqueue::{Event, EventFilter, EventFlags, Kqueue, ProcessEvents};
#[cfg(not(qtloop_libkqueue))]
pub use super::native::{Event, EventFilter, EventFlags, Kqueue, ProcessEvents};

//! Input and output without an event loop: the system calls that transports make, and what of a
//! transport is neither Python nor Qt.

pub mod outgoing;
#[cfg(unix)]
pub mod pipe;
pub mod socket;
pub mod watermarks;

pub use self::outgoing::Outgoing;
pub use self::watermarks::{Change, Watermarks};

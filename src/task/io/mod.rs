//! What a task can wait for besides other tasks: time, file descriptors, sockets, pipes, child
//! processes.

pub mod net;
#[cfg(unix)]
pub mod pipe;
#[cfg(unix)]
pub mod process;
pub mod readiness;
pub mod time;
mod waiters;

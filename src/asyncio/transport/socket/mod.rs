//! Transports of sockets: connections, listening sockets, datagrams.

mod beginning;
mod common;
pub mod datagram;
mod extra_info;
pub mod listener;
pub mod stream;

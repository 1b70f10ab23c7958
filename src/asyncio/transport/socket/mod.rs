//! Transports of sockets: connections, listening sockets, datagrams.

mod beginning;
mod common;
pub mod datagram;
pub mod dialed;
mod extra_info;
pub mod listener;
pub mod stream;

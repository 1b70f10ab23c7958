//! Sockets as futures: TCP, UDP, and Unix sockets.
//!
//! Addresses are numeric. A name is resolved by whoever has one, on another thread: `std::net::ToSocketAddrs` blocks.

mod connect;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use connect::Incoming;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixListener, UnixStream};

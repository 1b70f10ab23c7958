//! Sockets as futures: TCP, UDP, and Unix sockets.
//!
//! Addresses are numeric. To resolve a name use another thread: `std::net::ToSocketAddrs` blocks.

mod connect;
mod stream;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix;

pub use self::connect::Incoming;
pub use self::tcp::{TcpListener, TcpStream};
pub use self::udp::UdpSocket;
#[cfg(unix)]
pub use self::unix::{UnixListener, UnixStream};

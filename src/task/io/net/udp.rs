//! UDP.

use std::io;
use std::net::{self, SocketAddr};

use rustix::fd::{AsFd, BorrowedFd};

use crate::task::io::readiness::Readiness;

/// A UDP socket. Any number of tasks may send and receive.
#[derive(Debug)]
pub struct UdpSocket {
    io: Readiness<net::UdpSocket>,
}

impl UdpSocket {
    /// A socket of the standard library's. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(socket: net::UdpSocket) -> io::Result<UdpSocket> {
        Ok(UdpSocket { io: Readiness::new(socket)? })
    }

    /// A socket with a numeric address; port 0 is one that the system chooses.
    ///
    /// # Errors
    /// The system calls'.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<UdpSocket> {
        UdpSocket::new(net::UdpSocket::bind(address.into())?)
    }

    /// Lets [`send`](UdpSocket::send) and [`receive`](UdpSocket::receive) deal with this peer only.
    ///
    /// # Errors
    /// The system call's.
    pub fn connect(&self, peer: impl Into<SocketAddr>) -> io::Result<()> {
        self.get_ref().connect(peer.into())
    }

    /// Sends a datagram to the peer that the socket is connected with.
    ///
    /// # Errors
    /// The system call's; it may be about a datagram sent before.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.io.write_with(|socket| socket.send(data)).await
    }

    /// Sends a datagram to a numeric address.
    ///
    /// # Errors
    /// As [`send`](UdpSocket::send).
    pub async fn send_to(&self, data: &[u8], peer: impl Into<SocketAddr>) -> io::Result<usize> {
        let peer = peer.into();
        self.io.write_with(|socket| socket.send_to(data, peer)).await
    }

    /// Receives the next datagram of the peer that the socket is connected with, and returns its
    /// length. What has no room in `buffer` is cut off. If the future is dropped, it has taken no
    /// datagram.
    ///
    /// # Errors
    /// The system call's; it may be about a datagram sent before.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.read_with(|socket| socket.recv(buffer)).await
    }

    /// As [`receive`](UdpSocket::receive), from any sender. Also returns the sender's address.
    ///
    /// # Errors
    /// As [`receive`](UdpSocket::receive).
    pub async fn receive_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.read_with(|socket| socket.recv_from(buffer)).await
    }

    /// The socket, for its options.
    pub fn get_ref(&self) -> &net::UdpSocket {
        self.io.get_ref()
    }

    /// Its own address.
    ///
    /// # Errors
    /// The system call's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

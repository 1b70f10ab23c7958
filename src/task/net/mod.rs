//! Sockets as futures: TCP, UDP, and Unix sockets.
//!
//! Addresses are numeric. A name is resolved by whoever has one, on another thread: `std::net::ToSocketAddrs` blocks.

mod stream;
mod tcp;
mod udp;
mod unix;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::Stream;
use rustix::io::Errno;

use super::executor::Executor;
use super::readiness::Readiness;

pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixListener, UnixStream};

/// The connections that a listener accepts, without end. An error does not end it either: the process may have an fd
/// left next time. See [`TcpListener::incoming`] and [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l, L> {
    listener: &'l L,
}

impl Stream for Incoming<'_, TcpListener> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}

impl Stream for Incoming<'_, UnixListener> {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}

/// The next connection that is still there: a peer may give up before it is accepted.
fn accept_next<S>(mut accept: impl FnMut() -> io::Result<S>) -> io::Result<S> {
    loop {
        match accept() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            outcome => return outcome,
        }
    }
}

/// Waits for the connection that `begun` is the beginning of.
async fn connected<S: std::os::fd::AsFd>(
    executor: Rc<Executor>,
    socket: S,
    begun: rustix::io::Result<()>,
) -> io::Result<Readiness<S>> {
    let socket = Readiness::unblocked(executor, socket);
    match begun {
        Ok(()) => return Ok(socket),
        // An interrupted connect goes on by itself as well.
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        socket.writable().await?;
        rustix::net::sockopt::socket_error(&socket)??;
        // Without an error and without a peer it was a false alarm.
        match rustix::net::getpeername(&socket) {
            Err(Errno::NOTCONN) => {}
            outcome => return outcome.map(|_| socket).map_err(io::Error::from),
        }
    }
}

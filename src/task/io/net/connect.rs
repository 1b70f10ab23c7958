//! How connections are made, whatever the family.

use std::io;
use std::rc::Rc;

use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::sys;
use crate::task::executor::Executor;
use crate::task::io::readiness::Readiness;

/// The connections that a listener accepts, without end. An error does not end the stream: the
/// process may have an fd left next time. See
/// [`TcpListener::incoming`](super::TcpListener::incoming) and
/// [`UnixListener::incoming`](super::UnixListener::incoming).
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l, L> {
    pub(super) listener: &'l L,
}

/// The next connection that is still there: a peer may give up before its connection is accepted.
pub fn accept_next<S>(mut accept: impl FnMut() -> io::Result<S>) -> io::Result<S> {
    loop {
        match accept() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            outcome => return outcome,
        }
    }
}

/// Waits until the connection that has begun in `begun` is there.
pub async fn connected<S: AsFd>(
    executor: Rc<Executor>,
    socket: S,
    begun: rustix::io::Result<()>,
) -> io::Result<Readiness<S>> {
    let socket = Readiness::unblocked(executor, socket);
    match begun {
        Ok(()) => return Ok(socket),
        Err(error) if sys::is_under_way(error) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        socket.writable().await?;
        rustix::net::sockopt::socket_error(socket.as_fd())??;
        // No error and no peer: it was a false alarm.
        match rustix::net::getpeername(socket.as_fd()) {
            Err(Errno::NOTCONN) => {}
            outcome => return outcome.map(|_| socket).map_err(io::Error::from),
        }
    }
}

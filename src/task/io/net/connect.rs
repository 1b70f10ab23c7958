//! How connections come about, whatever the family.

use std::io;
use std::rc::Rc;

use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::sys;
use crate::task::executor::Executor;
use crate::task::io::readiness::Readiness;

/// The connections that a listener accepts, without end. An error does not end it either: the
/// process may have an fd left next time. See
/// [`TcpListener::incoming`](super::TcpListener::incoming) and
/// [`UnixListener::incoming`](super::UnixListener::incoming).
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l, L> {
    pub(super) listener: &'l L,
}

/// The next connection that is still there: a peer may give up before it is accepted.
pub fn accept_next<S>(mut accept: impl FnMut() -> io::Result<S>) -> io::Result<S> {
    loop {
        match accept() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            outcome => return outcome,
        }
    }
}

/// Waits for the connection that `begun` is the beginning of.
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
        // Without an error and without a peer it was a false alarm.
        match rustix::net::getpeername(socket.as_fd()) {
            Err(Errno::NOTCONN) => {}
            outcome => return outcome.map(|_| socket).map_err(io::Error::from),
        }
    }
}

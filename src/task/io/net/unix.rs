//! Unix sockets.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::Stream;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect};

use super::connect::{Incoming, accept_next, connected};
use super::stream::{self, impl_stream};
use crate::core::Direction;
use crate::sys;
use crate::task::current::expect_current;
use crate::task::io::readiness::Readiness;
use crate::task::io::waiters::Access;

/// A connection between processes of this machine.
///
/// It is read and written through `AsyncRead` and `AsyncWrite`; `&UnixStream` too, so that one task
/// can read while another writes. Closing it shuts the writing half down.
#[derive(Debug)]
pub struct UnixStream {
    io: Readiness<net::UnixStream>,
}

impl UnixStream {
    /// A connection of the standard library's. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(connection: net::UnixStream) -> io::Result<UnixStream> {
        Ok(UnixStream { io: Readiness::new(connection)? })
    }

    /// Two sockets that are connected with each other.
    ///
    /// # Errors
    /// If the process has no fd left.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((UnixStream::new(one)?, UnixStream::new(other)?))
    }

    /// Connects to the socket with this path.
    ///
    /// # Errors
    /// Why there is no connection. `WouldBlock` if too many connections wait to be accepted: the
    /// system does not tell when there is room.
    ///
    /// # Panics
    /// If no loop runs on this thread when it is awaited.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let (executor, address) = (expect_current(), SocketAddrUnix::new(path.as_ref())?);
        let socket = sys::socket(AddressFamily::UNIX, SocketType::STREAM)?;
        let begun = connect(&socket, &address);
        Ok(UnixStream { io: connected(executor, net::UnixStream::from(socket), begun).await? })
    }

    /// The connection, for its options.
    pub fn get_ref(&self) -> &net::UnixStream {
        self.io.get_ref()
    }

    /// The connection, which the loop watches no more. It still does not block.
    pub fn into_inner(self) -> net::UnixStream {
        self.io.into_inner()
    }

    /// Its own address.
    ///
    /// # Errors
    /// The system call's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// The system call's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// Ends one half of the connection, or both.
    ///
    /// # Errors
    /// The system call's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.get_ref().shutdown(how)
    }
}

impl_stream!(UnixStream, Access::Alone);
impl_stream!(&UnixStream, Access::Shared);

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A socket that accepts connections of other processes. Its file stays when it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    io: Readiness<net::UnixListener>,
}

impl UnixListener {
    /// A listener of the standard library's, perhaps with an abstract address. It does not block
    /// from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(listener: net::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener { io: Readiness::new(listener)? })
    }

    /// Makes a socket file and listens there.
    ///
    /// # Errors
    /// The system calls': `AddrInUse` if there is a file already.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::new(net::UnixListener::bind(path)?)
    }

    /// The next connection, and its peer. If the future is dropped, it has accepted none.
    ///
    /// # Errors
    /// The system calls': the process may have no fd left. The next connection may come
    /// nevertheless.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (connection, peer) =
            self.io.read_with(|listener| accept_next(|| listener.accept())).await?;
        Ok((self.stream(connection)?, peer))
    }

    /// All connections, one after the other.
    pub fn incoming(&self) -> Incoming<'_, UnixListener> {
        Incoming { listener: self }
    }

    /// The listener, for its options.
    pub fn get_ref(&self) -> &net::UnixListener {
        self.io.get_ref()
    }

    /// Its address.
    ///
    /// # Errors
    /// The system call's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        let accept = |listener: &net::UnixListener| accept_next(|| listener.accept());
        let accepted = self.io.poll_with(Direction::Read, Access::Shared, context, accept);
        accepted.map(|accepted| self.stream(accepted?.0))
    }

    fn stream(&self, connection: net::UnixStream) -> io::Result<UnixStream> {
        Ok(UnixStream { io: Readiness::on(Rc::clone(self.io.executor()), connection)? })
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl Stream for Incoming<'_, UnixListener> {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}

//! TCP.

use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::Stream;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::net::{AddressFamily, SocketType, connect};

use super::connect::{Incoming, accept_next, connected};
use super::stream::{self, impl_stream};
use crate::core::Direction;
use crate::sys;
use crate::task::current::expect_current;
use crate::task::io::readiness::Readiness;
use crate::task::io::waiters::Access;

/// A TCP connection.
///
/// It is read and written through `AsyncRead` and `AsyncWrite`; `&TcpStream` too, so that one task
/// can read while another writes. Closing it shuts the writing half down.
///
/// ```
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use qtloop::{EventLoop, spawn_local};
/// use qtloop::host::sim::SimHost;
/// use qtloop::net::{TcpListener, TcpStream};
///
/// let event_loop = EventLoop::new(SimHost::with_real_fds())?;
/// event_loop.block_on(async {
///     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
///     let address = listener.local_addr()?;
///     let server = spawn_local(async move {
///         let (connection, _peer) = listener.accept().await?;
///         futures::io::copy(&connection, &mut &connection).await
///     });
///
///     let mut client = TcpStream::connect(address).await?;
///     client.write_all(b"hello").await?;
///     client.close().await?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "hello");
///     assert_eq!(server.await??, 5);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    io: Readiness<net::TcpStream>,
}

impl TcpStream {
    /// A connection of the standard library's. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(connection: net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { io: Readiness::new(connection)? })
    }

    /// Connects to a numeric address. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Why there is no connection.
    ///
    /// # Panics
    /// If no loop runs on this thread when it is awaited.
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let (executor, address) = (expect_current(), address.into());
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = sys::socket(family, SocketType::STREAM)?;
        let begun = connect(&socket, &address);
        Ok(TcpStream { io: connected(executor, net::TcpStream::from(socket), begun).await? })
    }

    /// The connection, for its options.
    pub fn get_ref(&self) -> &net::TcpStream {
        self.io.get_ref()
    }

    /// The connection, which the loop watches no more. It still does not block.
    pub fn into_inner(self) -> net::TcpStream {
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
    /// The system call's: `NotConnected` once the connection was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// Ends one half of the connection, or both.
    ///
    /// # Errors
    /// The system call's: `NotConnected` once the connection was reset.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.get_ref().shutdown(how)
    }
}

impl_stream!(TcpStream, Access::Alone);
impl_stream!(&TcpStream, Access::Shared);

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A socket that accepts TCP connections. See [`TcpStream`] for an example.
#[derive(Debug)]
pub struct TcpListener {
    io: Readiness<net::TcpListener>,
}

impl TcpListener {
    /// A listener of the standard library's. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(listener: net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { io: Readiness::new(listener)? })
    }

    /// Listens at a numeric address; port 0 is one that the system chooses.
    ///
    /// # Errors
    /// The system calls'.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<TcpListener> {
        TcpListener::new(net::TcpListener::bind(address.into())?)
    }

    /// The next connection, and its peer. If the future is dropped, it has accepted none. A peer
    /// that has given up already is passed over.
    ///
    /// # Errors
    /// The system calls': the process may have no fd left. The next connection may come
    /// nevertheless.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (connection, peer) =
            self.io.read_with(|listener| accept_next(|| listener.accept())).await?;
        Ok((self.stream(connection)?, peer))
    }

    /// All connections, one after the other.
    pub fn incoming(&self) -> Incoming<'_, TcpListener> {
        Incoming { listener: self }
    }

    /// The listener, for its options.
    pub fn get_ref(&self) -> &net::TcpListener {
        self.io.get_ref()
    }

    /// Its address.
    ///
    /// # Errors
    /// The system call's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let accept = |listener: &net::TcpListener| accept_next(|| listener.accept());
        let accepted = self.io.poll_with(Direction::Read, Access::Shared, context, accept);
        accepted.map(|accepted| self.stream(accepted?.0))
    }

    fn stream(&self, connection: net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream { io: Readiness::on(Rc::clone(self.io.executor()), connection)? })
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl Stream for Incoming<'_, TcpListener> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(context).map(Some)
    }
}

//! Sockets on systems whose calls do not take the flags of a new socket: the flags are set
//! afterwards.
//!
//! A process that is started between the calls inherits the socket, as with Python's own sockets
//! there.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketAddrAny, SocketType, acceptfrom, getsockname};

/// A socket that does not block and is not inherited.
pub fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, kind, None)?;
    set_flags(&socket)?;
    Ok(socket)
}

/// Accepts a waiting connection. Returns its socket and its peer. The socket does not block and is
/// not inherited.
pub fn accept(fd: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, peer) = acceptfrom(fd)?;
    set_flags(&socket)?;
    Ok((socket, peer))
}

/// The address family of the socket.
///
/// # Errors
/// The system call's, for example if the fd is not a socket.
pub fn family(fd: BorrowedFd<'_>) -> io::Result<AddressFamily> {
    Ok(getsockname(fd)?.address_family())
}

fn set_flags(socket: &OwnedFd) -> rustix::io::Result<()> {
    fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(socket, true)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::fcntl_getfd;

    use super::*;

    fn is_as_it_should_be(socket: &OwnedFd) -> io::Result<bool> {
        let is_not_inherited = fcntl_getfd(socket)?.contains(FdFlags::CLOEXEC);
        Ok(is_not_inherited && fcntl_getfl(socket)?.contains(OFlags::NONBLOCK))
    }

    #[test]
    fn a_new_socket_does_not_block_and_is_not_inherited() -> io::Result<()> {
        let socket = socket(AddressFamily::INET6, SocketType::STREAM)?;
        assert!(is_as_it_should_be(&socket)?);
        assert_eq!(family(socket.as_fd())?, AddressFamily::INET6);
        Ok(())
    }

    #[test]
    fn nor_does_one_that_was_accepted() -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (accepted, peer) = accept(listener.as_fd())?;
        assert!(is_as_it_should_be(&accepted)?);
        assert_eq!(peer, Some(client.local_addr()?.into()));
        assert_eq!(family(accepted.as_fd())?, AddressFamily::INET);
        Ok(())
    }
}

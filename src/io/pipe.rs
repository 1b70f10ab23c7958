//! System calls on pipes, and on what can be used as one, that do not block. An interrupted one is
//! made again.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::io::retry_on_intr;

use super::socket::MAX_SLICES;
use crate::sys;

/// What an fd is, as far as pipes are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A pipe, with a name or without.
    Fifo,
    /// A socket, of which one direction is used.
    Socket,
    /// A terminal, or another character device.
    Character,
    /// A regular file, a directory: nothing that can be waited for.
    Other,
}

/// What the fd is.
///
/// # Errors
/// The system call's.
pub fn kind(fd: BorrowedFd<'_>) -> io::Result<FileKind> {
    let stat = fstat(fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::Character,
        _ => FileKind::Other,
    })
}

/// Lets no system call on the fd block from now on.
///
/// # Errors
/// The system call's.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_nonblocking(fd)
}

/// Reads what has come; 0 is the end of the stream.
///
/// # Errors
/// The system call's; `WouldBlock` if nothing has come.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::read(fd, &mut *buffer))?)
}

/// Writes as much as there is room for, and says how much that was.
///
/// # Errors
/// The system call's; `WouldBlock` if there is no room.
pub fn write(fd: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::write(fd, data))?)
}

/// As [`write()`], from several places: at most [`MAX_SLICES`].
///
/// # Errors
/// As [`write()`].
pub fn write_many(fd: BorrowedFd<'_>, data: &[IoSlice<'_>]) -> io::Result<usize> {
    let data = &data[..data.len().min(MAX_SLICES)];
    Ok(retry_on_intr(|| rustix::io::writev(fd, data))?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no fstat of an fd")]
    fn what_an_fd_is() -> io::Result<()> {
        let (reader, _writer) = rustix::pipe::pipe()?;
        let (socket, _peer) = UnixStream::pair()?;
        let kinds = [kind(reader.as_fd())?, kind(socket.as_fd())?];
        assert_eq!(kinds, [FileKind::Fifo, FileKind::Socket]);
        assert_eq!(kind(File::open("/dev/null")?.as_fd())?, FileKind::Character);
        assert_eq!(kind(File::open("/")?.as_fd())?, FileKind::Other);
        Ok(())
    }

    #[test]
    fn nothing_blocks() -> io::Result<()> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let (from, to) = (reader.as_fd(), writer.as_fd());
        set_nonblocking(from)?;
        set_nonblocking(to)?;
        let buffer = &mut [0; 8];
        assert_eq!(
            read(from, buffer).map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock)
        );
        assert_eq!(write(to, b"one")?, 3);
        assert_eq!(write_many(to, &[IoSlice::new(b"t"), IoSlice::new(b"wo")])?, 3);
        assert_eq!((read(from, buffer)?, &buffer[..6]), (6, &b"onetwo"[..]));
        while write(to, &[0; 4096]).is_ok() {}
        assert_eq!(write(to, b"x").map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
        drop(writer);
        while read(from, &mut [0; 4096])? > 0 {}
        Ok(())
    }
}

//! Pipes as streams of bytes: between tasks and processes, or with a child process.
//!
//! A program whose `main` is neither Rust's nor Python's should ignore `SIGPIPE`, which a pipe
//! without a reader raises. Else writing to it ends the process.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};

use super::readiness::Readiness;

/// A new pipe: what is written to the one comes out of the other.
///
/// # Errors
/// If the process has no fd left.
///
/// # Panics
/// If no loop runs on this thread.
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (reader, writer) = io::pipe()?;
    Ok((Sender::new(writer)?, Receiver::new(reader)?))
}

/// The end of a pipe that is written to. Closing or dropping it ends the stream.
#[derive(Debug)]
pub struct Sender {
    /// None once it is closed.
    io: Option<Readiness<File>>,
}

impl Sender {
    /// The writing end of a pipe, or of what can be used as one: a child's `ChildStdin`, a
    /// terminal. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(pipe: impl Into<OwnedFd>) -> io::Result<Sender> {
        Ok(Sender { io: Some(Readiness::new(File::from(pipe.into()))?) })
    }

    /// The pipe, unless it is closed.
    pub fn get_ref(&self) -> Option<&File> {
        self.io.as_ref().map(Readiness::get_ref)
    }

    fn open(&mut self) -> io::Result<Pin<&mut Readiness<File>>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

/// Closing it closes the fd: the reader gets to the end.
impl AsyncWrite for Sender {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write_vectored(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io = None;
        Poll::Ready(Ok(()))
    }
}

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct Receiver {
    io: Readiness<File>,
}

impl Receiver {
    /// The reading end of a pipe, or of what can be used as one: a child's `ChildStdout` or
    /// `ChildStderr`, a terminal. It does not block from now on.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(pipe: impl Into<OwnedFd>) -> io::Result<Receiver> {
        Ok(Receiver { io: Readiness::new(File::from(pipe.into()))? })
    }

    /// The pipe.
    pub fn get_ref(&self) -> &File {
        self.io.get_ref()
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read_vectored(cx, buffers)
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

//! Reading and writing, as every stream socket does them.

use std::io::{self, IoSlice, IoSliceMut};

use rustix::fd::AsFd;
use rustix::net::Shutdown;

use crate::io::socket::{self, MAX_SLICES};
use crate::sys;

/// Reads what has come; 0 is the end of the stream.
pub(super) fn read(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    socket::receive(socket.as_fd(), buffer)
}

/// As `read`, to several places.
pub(super) fn read_many(socket: &impl AsFd, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let count = buffers.len().min(MAX_SLICES);
    sys::receive_many(socket.as_fd(), &mut buffers[..count])
}

/// Writes as much as there is room for. If the peer is gone, that is an error and not a signal.
pub(super) fn write(socket: &impl AsFd, data: &[u8]) -> io::Result<usize> {
    socket::transmit(socket.as_fd(), data)
}

/// As `write`, from several places.
pub(super) fn write_many(socket: &impl AsFd, data: &[IoSlice<'_>]) -> io::Result<usize> {
    socket::transmit_many(socket.as_fd(), data)
}

/// Tells the peer that nothing more will be written, if there is one.
pub(super) fn close(socket: &impl AsFd) -> io::Result<()> {
    match rustix::net::shutdown(socket.as_fd(), Shutdown::Write) {
        Err(rustix::io::Errno::NOTCONN) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Implements `AsyncRead` and `AsyncWrite` for a stream, or a reference to one, whose field `io` is
/// its `Readiness`.
macro_rules! impl_stream {
    ($stream:ty, $access:expr) => {
        impl futures::AsyncRead for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.io.poll_with(Direction::Read, $access, cx, |io| stream::read(io, buffer))
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.io.poll_with(Direction::Read, $access, cx, |io| stream::read_many(io, buffers))
            }
        }

        /// Closing it tells the peer that nothing more will be written. Reading goes on; the fd is
        /// closed when the stream is dropped.
        impl futures::AsyncWrite for $stream {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                data: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.io.poll_with(Direction::Write, $access, cx, |io| stream::write(io, data))
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                data: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.io.poll_with(Direction::Write, $access, cx, |io| stream::write_many(io, data))
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(stream::close(&self.io))
            }
        }
    };
}

pub(super) use impl_stream;

//! A file descriptor whose readiness can be awaited.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use rustix::fd::{AsFd, BorrowedFd};

use super::waiters::{Access, Side};
use crate::core::Direction;
use crate::sys;
use crate::task::current::expect_current;
use crate::task::executor::Executor;

/// A file descriptor that does not block and whose readiness can be awaited: a socket, a pipe, a
/// terminal, an fd of a C library.
///
/// Reading and writing try the system call first, and wait for the loop only if it would block. The
/// loop goes on watching the fd from one wait to the next, until the fd is ready and nobody waits.
/// Any number of tasks may wait at once; all of them are woken. Dropping the future gives a wait up
/// at any time: no byte is lost. A task whose fd is always ready lets other tasks run now and then.
///
/// One fd should have one `Readiness`. Two of them that wait for the same direction at the same
/// time take the loop's watch away from each other, again and again.
///
/// It belongs to the loop that ran when it was made, and waits only while that one runs.
///
/// ```
/// use std::io::{Read, Write};
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use qtloop::{EventLoop, Readiness};
/// use qtloop::host::sim::SimHost;
///
/// let event_loop = EventLoop::new(SimHost::with_real_fds())?;
/// event_loop.block_on(async {
///     let (reader, writer) = std::io::pipe()?;
///     let (mut reader, mut writer) = (Readiness::new(reader)?, Readiness::new(writer)?);
///
///     // As a stream of bytes:
///     writer.write_all(b"hello").await?;
///     let mut buffer = [0; 5];
///     reader.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"hello");
///
///     // Or with a system call of one's own:
///     writer.write_with(|mut pipe| pipe.write(b"!")).await?;
///     let count = reader.read_with(|mut pipe| pipe.read(&mut buffer)).await?;
///     assert_eq!(&buffer[..count], b"!");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Readiness<T> {
    /// Dropped first: the watches end before the fd is closed.
    sides: Sides,
    io: T,
}

/// Both directions of the fd. The watches end when it is dropped.
struct Sides {
    read: Rc<Side>,
    write: Rc<Side>,
}

impl Sides {
    fn of(&self, direction: Direction) -> &Rc<Side> {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        self.read.end();
        self.write.end();
    }
}

impl<T: AsFd> Readiness<T> {
    /// From now on no system call on the fd blocks. That also holds for everybody else who has the
    /// same open file, under another number or in another process.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(io: T) -> io::Result<Readiness<T>> {
        Readiness::on(expect_current(), io)
    }

    /// As `new`, on a given loop.
    pub(in crate::task) fn on(executor: Rc<Executor>, io: T) -> io::Result<Readiness<T>> {
        sys::set_nonblocking(io.as_fd())?;
        Ok(Readiness::unblocked(executor, io))
    }

    /// As `on`, for an fd that does not block already.
    pub(in crate::task) fn unblocked(executor: Rc<Executor>, io: T) -> Readiness<T> {
        let fd = sys::number(io.as_fd());
        let read = Side::new(Rc::clone(&executor), fd, Direction::Read);
        let write = Side::new(executor, fd, Direction::Write);
        Readiness { sides: Sides { read, write }, io }
    }
}

impl<T> Readiness<T> {
    /// The object that it was made of.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// The object that it was made of. Its fd must stay the same: the loop watches the number.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// The object that it was made of. The loop watches it no more, and it still does not block.
    pub fn into_inner(self) -> T {
        let Readiness { sides, io } = self;
        drop(sides);
        io
    }

    /// Waits until the loop finds the fd readable: there is something to read, or the end, or an
    /// error. When the task goes on, somebody else may have read it; rarely it is a false alarm.
    ///
    /// # Errors
    /// If the fd cannot be watched: a regular file is `PermissionDenied` where the loop uses epoll,
    /// and always ready where it does not.
    pub async fn readable(&self) -> io::Result<()> {
        self.sides.read.ready().await
    }

    /// Waits until the loop finds the fd writable: there is room to write, or an error. When the
    /// task goes on, somebody else may have filled it; rarely it is a false alarm.
    ///
    /// # Errors
    /// As [`readable`](Readiness::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.sides.write.ready().await
    }

    /// As [`readable`](Readiness::readable), to be polled by hand. `Pending` unless the loop has
    /// found the fd readable since the last time. The task is woken then, even if it has given up
    /// meanwhile. `readable` leaves no such wake behind.
    ///
    /// # Errors
    /// As [`readable`](Readiness::readable).
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sides.read.poll_ready(context)
    }

    /// As [`poll_readable`](Readiness::poll_readable), for writing.
    ///
    /// # Errors
    /// As [`readable`](Readiness::readable).
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sides.write.poll_ready(context)
    }

    /// Calls `read` when the fd is readable, until `read` does not fail with `WouldBlock`. Calls it
    /// again at once if it is interrupted.
    ///
    /// Dropping the future ends the calls. So nothing is lost if one successful call is all that is
    /// needed.
    ///
    /// # Errors
    /// Those of `read`, and as [`readable`](Readiness::readable).
    pub async fn read_with<R>(&self, mut read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        // It is moved: the future must not have a `&mut` into itself, which a `&` to the whole
        // would end.
        self.sides.read.with(move || read(&self.io)).await
    }

    /// As [`read_with`](Readiness::read_with), for writing.
    ///
    /// # Errors
    /// Those of `write`, and as [`readable`](Readiness::readable).
    pub async fn write_with<R>(&self, mut write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.sides.write.with(move || write(&self.io)).await
    }

    /// As `read_with` and `write_with`, to be polled by hand.
    pub(in crate::task) fn poll_with<R>(
        &self,
        direction: Direction,
        access: Access,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.sides.of(direction).poll_with(access, context, || operation(&self.io))
    }

    /// The loop that it belongs to.
    pub(in crate::task) fn executor(&self) -> &Rc<Executor> {
        self.sides.read.executor()
    }

    /// Makes an operation on the whole object.
    fn poll_alone<R>(
        &mut self,
        direction: Direction,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&mut T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let Readiness { sides, io } = self;
        sides.of(direction).poll_with(Access::Alone, context, || operation(io))
    }
}

/// Nothing in it is pinned: the system calls need no fixed place.
impl<T> Unpin for Readiness<T> {}

impl<T: AsFd> AsFd for Readiness<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl<T: fmt::Debug> fmt::Debug for Readiness<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("io", &self.io).finish_non_exhaustive()
    }
}

impl<T: Read> AsyncRead for Readiness<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_alone(Direction::Read, cx, |io| io.read(buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_alone(Direction::Read, cx, |io| io.read_vectored(buffers))
    }
}

impl<T> AsyncRead for &Readiness<T>
where
    for<'t> &'t T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Read, Access::Shared, cx, |mut io| io.read(buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Read, Access::Shared, cx, |mut io| io.read_vectored(buffers))
    }
}

/// Closing it only flushes it; the fd is closed when it is dropped.
impl<T: Write> AsyncWrite for Readiness<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_alone(Direction::Write, cx, |io| io.write(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_alone(Direction::Write, cx, |io| io.write_vectored(data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_alone(Direction::Write, cx, Write::flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Closing it only flushes it; the fd is closed when the [`Readiness`] is dropped.
impl<T> AsyncWrite for &Readiness<T>
where
    for<'t> &'t T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Write, Access::Shared, cx, |mut io| io.write(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Write, Access::Shared, cx, |mut io| io.write_vectored(data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_with(Direction::Write, Access::Shared, cx, |mut io| io.flush())
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

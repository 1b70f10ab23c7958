//! The end of a child process as a future.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll};

use super::readiness::Readiness;
use super::waiters::Access;
use crate::core::Direction;
use crate::sys::{ChildExit, child_exit, try_wait};
use crate::task::current::expect_current;

/// The end of a child process: a future of its exit status.
///
/// Other futures of the loop run meanwhile, and no signal handler and no thread is involved. What
/// the child writes is read by [`pipe::Receiver`](crate::task::io::pipe::Receiver).
///
/// Dropping it leaves the child as it is. To end the child call [`Child::kill`], by
/// [`get_mut`](Exit::get_mut). A child that has ended stays a zombie until its exit is awaited.
///
/// ```
/// use std::process::{Command, Stdio};
/// use futures::AsyncReadExt;
/// use qtloop::{EventLoop, pipe, process};
/// use qtloop::host::sim::SimHost;
///
/// let event_loop = EventLoop::new(SimHost::with_real_fds())?;
/// event_loop.block_on(async {
///     let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
///     let mut output = String::new();
///     if let Some(stdout) = child.stdout.take() {
///         pipe::Receiver::new(stdout)?.read_to_string(&mut output).await?;
///     }
///     assert!(process::Exit::new(child)?.await?.success());
///     assert_eq!(output, "hello\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Exit {
    child: Child,
    /// Readable when the child has ended. None if it had ended before.
    process: Option<Readiness<ChildExit>>,
}

impl Exit {
    /// The end of `child`. Closes the child's standard input if nobody has taken it: the child
    /// might wait for more input.
    ///
    /// # Errors
    /// The system calls'. Linux before 5.3 has no pidfds, and says `Unsupported`.
    ///
    /// # Panics
    /// If no loop runs on this thread.
    #[track_caller]
    pub fn new(mut child: Child) -> io::Result<Exit> {
        let executor = expect_current();
        drop(child.stdin.take());
        // Nobody has waited for the child, so its number means no other process.
        let process = match child.try_wait()? {
            Some(_) => None,
            None => child_exit(&child)?.map(|exit| Readiness::unblocked(executor, exit)),
        };
        Ok(Exit { child, process })
    }

    /// The child.
    pub fn get_ref(&self) -> &Child {
        &self.child
    }

    /// The child, for example to kill it.
    pub fn get_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The child. Its end is to be noticed in another way.
    pub fn into_inner(self) -> Child {
        self.child
    }
}

impl Future for Exit {
    type Output = io::Result<ExitStatus>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let Exit { child, process } = self.get_mut();
        match process {
            Some(process) => process.poll_with(Direction::Read, Access::Alone, context, |exit| {
                try_wait(child, exit)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            }),
            // Does not block: the status is known, or is about to be.
            None => Poll::Ready(child.wait()),
        }
    }
}

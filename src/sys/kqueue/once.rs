//! Kqueues that become readable once: when a child ends, or after a while.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, ExitStatus};
use std::ptr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use super::changes::errno;
use super::queue::{Event, EventFilter, EventFlags, Kqueue, ProcessEvents};
use crate::core::Interest;
use crate::sys::poll::poll;

/// A kqueue that is readable when a child process has ended.
pub type ChildExit = Kqueue;

/// Watches for the end of a child that has not been waited for. `None` if the child has ended
/// already, or is about to end.
///
/// # Errors
/// If the process has no fd left.
pub fn child_exit(child: &Child) -> io::Result<Option<ChildExit>> {
    let filter = EventFilter::Proc { pid: Pid::from_child(child), flags: ProcessEvents::EXIT };
    match waiting_for(filter) {
        // macOS returns this error for a child that is ending.
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// How the child has ended, if it has.
///
/// The kernels of macOS and the BSDs report the end a moment before the child can be waited for.
/// They report it once. So this function waits for the rest of that moment.
///
/// # Errors
/// The system calls'.
pub fn try_wait(child: &mut Child, exit: &ChildExit) -> io::Result<Option<ExitStatus>> {
    let is_told = !poll(&[(exit.as_fd().as_raw_fd(), Interest::READ)], false)?.is_empty();
    if is_told { child.wait().map(Some) } else { child.try_wait() }
}

/// A file that becomes readable after a while, which is rounded up to whole milliseconds.
///
/// # Errors
/// If the process has no fd left.
pub fn alarm(after: Duration) -> io::Result<impl AsFd> {
    let millis = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    waiting_for(EventFilter::Timer { ident: 0, timer: Some(Duration::from_millis(millis)) })
}

/// A kqueue that stays readable after the event, because no code takes the event out.
fn waiting_for(filter: EventFilter) -> io::Result<Kqueue> {
    let queue = Kqueue::new()?;
    let flags = EventFlags::ADD | EventFlags::ONESHOT | EventFlags::RECEIPT;
    let mut receipts = Vec::with_capacity(1);
    // SAFETY: no fd is watched.
    unsafe { queue.change(&[Event::new(filter, flags, ptr::null_mut())], &mut receipts) }?;
    match receipts.first() {
        Some(receipt) if receipt.data() != 0 => Err(errno(receipt).into()),
        _ => Ok(queue),
    }
}

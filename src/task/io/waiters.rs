//! One direction of a file descriptor: the tasks that wait for it, and the loop's watch.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::core::{Direction, Fd};
use crate::panics::contain;
use crate::task::executor::Executor;
use crate::task::foreign::job::{Job, Watcher};

/// How many operations in a row may succeed at once before everything else has its turn. A fast
/// peer must not occupy the loop.
const SHARE: u32 = 16;

/// One direction of an fd.
///
/// The loop's watch begins with the first wait and stays from one wait to the next. So waiting
/// again costs no system call. The watch ends when the fd is ready and nobody waits: it is
/// level-triggered, and would be reported again and again. Only the loop knows whether there is a
/// watch: another one may have taken its place, or the loop may be closed.
/// have taken its place, or the loop may be closed.
pub(in crate::task) struct Side {
    executor: Rc<Executor>,
    fd: Fd,
    direction: Direction,
    waiting: RefCell<Waiting>,
    /// Whether the fd was reported, and nobody has found it unready since.
    is_reported: Cell<bool>,
    /// How many operations have succeeded in a row.
    streak: Cell<u32>,
}

/// How a task that only polls uses the side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Access {
    /// Through `&`: others may wait as well.
    Shared,
    /// Through `&mut`: what was left of other waits is given up.
    Alone,
}

/// The tasks that wait, in the order of their tickets.
#[derive(Default)]
struct Waiting {
    queue: VecDeque<Waiter>,
    next_ticket: u64,
}

struct Waiter {
    ticket: u64,
    waker: Waker,
    /// Whether a future waits. It takes its ticket back when it is dropped.
    is_future: bool,
}

impl Waiting {
    fn push(&mut self, waker: Waker, is_future: bool) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(Waiter { ticket, waker, is_future });
        ticket
    }

    /// The first of those whose tickets are older than `end`.
    fn pop_before(&mut self, end: u64) -> Option<Waker> {
        let is_older = self.queue.front().is_some_and(|waiter| waiter.ticket < end);
        if is_older { self.queue.pop_front().map(|waiter| waiter.waker) } else { None }
    }

    /// Whether a task that polls waits already; and if it is alone, whether nobody else waits.
    fn is_enlisted(&self, waker: &Waker, access: Access) -> bool {
        let is_known =
            self.queue.iter().any(|waiter| !waiter.is_future && waiter.waker.will_wake(waker));
        is_known && (access == Access::Shared || self.queue.len() == 1)
    }
}

impl Side {
    pub(in crate::task) fn new(executor: Rc<Executor>, fd: Fd, direction: Direction) -> Rc<Side> {
        Rc::new(Side {
            executor,
            fd,
            direction,
            waiting: RefCell::default(),
            is_reported: Cell::new(false),
            streak: Cell::new(0),
        })
    }

    pub(in crate::task) fn executor(&self) -> &Rc<Executor> {
        &self.executor
    }

    /// Makes an operation that does not block, or waits until it is worth another try.
    pub(in crate::task) fn poll_with<R>(
        self: &Rc<Self>,
        access: Access,
        context: &mut Context<'_>,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        if self.has_had_its_share() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.attempt(&mut operation) {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.enlist(context.waker(), access)?;
                Poll::Pending
            }
        }
    }

    /// As `poll_with`, until the operation is done.
    pub(in crate::task) async fn with<R>(
        self: &Rc<Self>,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        if self.has_had_its_share() {
            crate::task::yield_now().await;
        }
        loop {
            match self.attempt(&mut operation) {
                Some(outcome) => return outcome,
                None => self.ready().await?,
            }
        }
    }

    /// Waits until the fd is reported.
    pub(in crate::task) fn ready(self: &Rc<Self>) -> Wait<'_> {
        Wait { side: self, ticket: None }
    }

    /// Whether the fd was reported since the last call. If not, the task is woken when it is.
    pub(in crate::task) fn poll_ready(
        self: &Rc<Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_reported.take() {
            return Poll::Ready(Ok(()));
        }
        self.enlist(context.waker(), Access::Shared)?;
        Poll::Pending
    }

    /// Ends the watch: the fd is about to be closed or given away.
    pub(in crate::task) fn end(&self) {
        self.unwatch();
        let given_up = std::mem::take(&mut self.waiting.borrow_mut().queue);
        drop(given_up);
    }

    /// The outcome of the operation; `None` if it would block.
    fn attempt<R>(&self, operation: &mut impl FnMut() -> io::Result<R>) -> Option<io::Result<R>> {
        loop {
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_reported.set(false);
                    self.streak.set(0);
                    return None;
                }
                outcome => {
                    self.streak.update(|streak| streak + 1);
                    return Some(outcome);
                }
            }
        }
    }

    fn has_had_its_share(&self) -> bool {
        let is_spent = self.streak.get() >= SHARE;
        if is_spent {
            self.streak.set(0);
        }
        is_spent
    }

    /// Wakes the task that polls now, when the fd is reported.
    fn enlist(self: &Rc<Self>, waker: &Waker, access: Access) -> io::Result<()> {
        self.watch()?;
        if self.waiting.borrow().is_enlisted(waker, access) {
            return Ok(());
        }
        let waker = waker.clone();
        let mut waiting = self.waiting.borrow_mut();
        let given_up = match access {
            // Most often there is nothing to give up. Then the queue keeps its memory.
            Access::Alone if !waiting.queue.is_empty() => std::mem::take(&mut waiting.queue),
            Access::Alone | Access::Shared => VecDeque::new(),
        };
        waiting.push(waker, false);
        drop(waiting);
        drop(given_up);
        Ok(())
    }

    fn watch(self: &Rc<Self>) -> io::Result<()> {
        let is_watched = self
            .executor
            .scheduler()
            .is_watched_by(self.fd, self.direction, &|job| job.is_of(&**self));
        if is_watched {
            return Ok(());
        }
        self.executor.watch(self.fd, self.direction, Job::local(Rc::clone(self)))
    }

    fn unwatch(&self) {
        let job =
            self.executor.scheduler().unwatch(self.fd, self.direction, &|job| job.is_of(self));
        drop(job);
    }
}

impl Watcher for Side {
    fn happened(&self) {
        self.is_reported.set(true);
        let (is_awaited, end) = {
            let waiting = self.waiting.borrow();
            (!waiting.queue.is_empty(), waiting.next_ticket)
        };
        if !is_awaited {
            return self.unwatch();
        }
        loop {
            // A task that waits again, because another one was quicker, waits for the next report.
            let waker = self.waiting.borrow_mut().pop_before(end);
            let Some(waker) = waker else { return };
            // A foreign waker may panic. The other tasks must be woken nevertheless.
            contain(|| self.executor.wake_and_run(&waker));
        }
    }
}

/// Waits until the fd is reported once. It leaves nothing behind when it is dropped.
#[must_use = "a future does nothing unless it is awaited"]
pub(in crate::task) struct Wait<'s> {
    side: &'s Rc<Side>,
    /// Its ticket, from the first poll on.
    ticket: Option<u64>,
}

impl Wait<'_> {
    /// Whether it still has its place. If so, `waker` is woken from now on.
    fn goes_on(&self, ticket: u64, waker: &Waker) -> bool {
        let fresh = waker.clone();
        let mut waiting = self.side.waiting.borrow_mut();
        let Some(waiter) = waiting.queue.iter_mut().find(|waiter| waiter.ticket == ticket) else {
            return false;
        };
        let replaced = std::mem::replace(&mut waiter.waker, fresh);
        drop(waiting);
        drop(replaced);
        true
    }
}

impl Future for Wait<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(ticket) = self.ticket {
            if self.goes_on(ticket, context.waker()) {
                return Poll::Pending;
            }
            self.ticket = None;
            return Poll::Ready(Ok(()));
        }
        self.side.watch()?;
        let waker = context.waker().clone();
        self.ticket = Some(self.side.waiting.borrow_mut().push(waker, true));
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut waiting = self.side.waiting.borrow_mut();
        let place = waiting.queue.iter().position(|waiter| waiter.ticket == ticket);
        let given_up = place.and_then(|place| waiting.queue.remove(place));
        drop(waiting);
        drop(given_up);
    }
}

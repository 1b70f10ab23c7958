//! Timers as futures, on the loop's timer heap and by the loop's clock.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use futures::future::{Either, select};

use super::current::expect_current;
use super::executor::Executor;
use super::job::{Job, Watcher};
use crate::core::{Time, TimerKey};

/// Waits for `duration`, never shorter; by up to a millisecond and a slice longer on Qt.
///
/// The time counts from this call. Waiting for no time lets whatever is ready run first.
///
/// # Panics
/// If no loop runs on this thread.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let executor = expect_current();
    let deadline = executor.scheduler().now().after(duration);
    Sleep { executor, deadline, alarm: None }
}

/// Waits until the loop's clock says `deadline`.
///
/// # Panics
/// If no loop runs on this thread.
#[track_caller]
pub fn sleep_until(deadline: Time) -> Sleep {
    Sleep { executor: expect_current(), deadline, alarm: None }
}

/// Gives the output of `future`, or [`Elapsed`] if that takes longer than `duration`; then the future is dropped.
///
/// # Panics
/// If no loop runs on this thread.
#[track_caller]
pub fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let limit = sleep(duration);
    async move {
        match select(pin!(future), limit).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed),
        }
    }
}

/// A stream that gives the time every `period`, the first time after one. It keeps to its beat: what was not asked for in time is left
/// out.
///
/// # Panics
/// If `period` is zero, or no loop runs on this thread.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { period, next: sleep(period) }
}

/// Lets everything else that is ready run first.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The time was up. See [`timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl Error for Elapsed {}

/// See [`sleep`]. Dropped, it leaves nothing behind.
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    executor: Rc<Executor>,
    deadline: Time,
    /// What the timer is set for. None before the first poll.
    alarm: Option<(TimerKey, Rc<Alarm>)>,
}

impl Sleep {
    /// When it ends, on the loop's clock.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Lets it end at another time.
    pub fn reset(&mut self, deadline: Time) {
        self.disarm();
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some((key, alarm)) = self.alarm.take()
            && !alarm.has_rung()
        {
            drop(self.executor.scheduler().cancel(key));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some((_, alarm)) = &self.alarm {
            return alarm.poll(context.waker());
        }
        let state = RefCell::new(Ringing::Waiting(context.waker().clone()));
        let alarm = Rc::new(Alarm { executor: Rc::clone(&self.executor), state });
        let key = self.executor.scheduler().call_at(self.deadline, Job::local(Rc::clone(&alarm)));
        self.alarm = Some((key, alarm));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// What a timer does when it is due: wakes who waits.
struct Alarm {
    executor: Rc<Executor>,
    state: RefCell<Ringing>,
}

enum Ringing {
    Waiting(Waker),
    Rung,
}

impl Alarm {
    fn has_rung(&self) -> bool {
        matches!(*self.state.borrow(), Ringing::Rung)
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        let replaced = match &mut *self.state.borrow_mut() {
            Ringing::Rung => return Poll::Ready(()),
            Ringing::Waiting(before) if before.will_wake(waker) => return Poll::Pending,
            Ringing::Waiting(before) => std::mem::replace(before, waker.clone()),
        };
        drop(replaced);
        Poll::Pending
    }
}

impl Watcher for Alarm {
    fn happened(&self) {
        if let Ringing::Waiting(waker) = self.state.replace(Ringing::Rung) {
            self.executor.wake_and_run(&waker);
        }
    }
}

/// See [`interval`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Interval {
    period: Duration,
    next: Sleep,
}

impl Interval {
    /// The next beat.
    pub async fn tick(&mut self) -> Time {
        poll_fn(|context| self.poll_tick(context)).await
    }

    fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Time> {
        if Pin::new(&mut self.next).poll(context).is_pending() {
            return Poll::Pending;
        }
        let beat = self.next.deadline();
        let late = self.next.executor.scheduler().now().since(beat);
        let missed = late.as_nanos() / self.period.as_nanos();
        let ahead = self.period.saturating_mul(u32::try_from(missed + 1).unwrap_or(u32::MAX));
        self.next.reset(beat.after(ahead));
        Poll::Ready(beat)
    }
}

impl Stream for Interval {
    type Item = Time;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Time>> {
        self.poll_tick(context).map(Some)
    }
}

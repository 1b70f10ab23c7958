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

use crate::core::{Time, TimerKey};
use crate::task::current::{current, expect_current};
use crate::task::executor::Executor;
use crate::task::foreign::job::{Job, Watcher};

/// Waits for `duration`, never shorter. On Qt it may take longer by up to a millisecond and a
/// slice.
///
/// The time counts from this call. If no loop runs on this thread then, it counts from the first
/// poll. To wait for no time lets everything that is ready run first.
///
/// # Panics
/// The future does if no loop runs on the thread that polls it.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        end: current()
            .map_or(End::In(duration), |executor| End::At(now(&executor).after(duration))),
        alarm: None,
    }
}

/// Waits until the loop's clock says `deadline`.
///
/// # Panics
/// The future does if no loop runs on the thread that polls it.
pub fn sleep_until(deadline: Time) -> Sleep {
    Sleep { end: End::At(deadline), alarm: None }
}

/// Gives the output of `future`, or [`Elapsed`] if it takes longer than `duration`. Then the future
/// is dropped.
///
/// The time counts as for [`sleep`].
///
/// # Panics
/// As [`sleep`].
pub fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let limit = sleep(duration);
    async move {
        match select(pin!(future), limit).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed),
        }
    }
}

/// A stream that gives the time every `period`, for the first time after one period. It keeps its
/// beat: beats that were not asked for in time are left out.
///
/// # Panics
/// If `period` is zero, and in the stream as [`sleep`].
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

/// The time has passed. See [`timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl Error for Elapsed {}

/// See [`sleep`]. It leaves nothing behind when it is dropped.
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    end: End,
    /// The time that the timer is set for. None before the first poll.
    alarm: Option<(TimerKey, Rc<Alarm>)>,
}

/// When a sleep ends.
#[derive(Clone, Copy, Debug)]
enum End {
    At(Time),
    /// After this time, counted from the first poll.
    In(Duration),
}

impl Sleep {
    /// Changes the time when it ends.
    pub fn reset(&mut self, deadline: Time) {
        self.disarm();
        self.end = End::At(deadline);
    }

    fn arm(&mut self, waker: &Waker) {
        let executor = expect_current();
        let deadline = match self.end {
            End::At(deadline) => deadline,
            End::In(duration) => now(&executor).after(duration),
        };
        self.end = End::At(deadline);
        let alarm =
            Rc::new(Alarm { executor, state: RefCell::new(Ringing::Waiting(waker.clone())) });
        let key = alarm.executor.scheduler().call_at(deadline, Job::local(Rc::clone(&alarm)));
        self.alarm = Some((key, alarm));
    }

    fn disarm(&mut self) {
        if let Some((key, alarm)) = self.alarm.take()
            && !alarm.has_rung()
        {
            drop(alarm.executor.scheduler().cancel(key));
        }
    }
}

fn now(executor: &Executor) -> Time {
    executor.scheduler().now()
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some((_, alarm)) = &self.alarm {
            return alarm.poll(context.waker());
        }
        self.arm(context.waker());
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
        f.debug_struct("Sleep").field("end", &self.end).finish_non_exhaustive()
    }
}

/// What a timer does when it is due: it wakes the task that waits.
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
        let (End::At(beat), Some((_, alarm))) = (self.next.end, &self.next.alarm) else {
            return Poll::Pending;
        };
        let late = now(&alarm.executor).since(beat);
        let missed = u32::try_from(late.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX);
        self.next.reset(beat.after(self.period.saturating_mul(missed.saturating_add(1))));
        Poll::Ready(beat)
    }
}

impl Stream for Interval {
    type Item = Time;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Time>> {
        self.poll_tick(context).map(Some)
    }
}

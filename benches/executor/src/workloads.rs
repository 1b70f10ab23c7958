//! What runs: each is a future for the runtime's own thread, which ends when all its tasks have.

use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures::task::AtomicWaker;

use crate::latch::Latch;
use crate::runtime::{Joins, Runtime, Sockets, Timers};

/// Lets the runtime come round: wakes its own task, and is done when polled again. The same on
/// every runtime.
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

/// Makes `tasks` that end at once.
pub async fn spawn<R: Runtime>(runtime: R, tasks: usize) {
    let latch = Latch::new(tasks);
    for _ in 0..tasks {
        let latch = latch.clone();
        runtime.spawn(async move { latch.count_down() });
    }
    latch.wait().await;
}

/// Makes `tasks` that end at once, and awaits each by its handle.
pub async fn spawn_and_join<R: Joins>(runtime: R, tasks: usize) {
    let handles: Vec<_> = (0..tasks).map(|_| runtime.spawn_to_join(async {})).collect();
    for handle in handles {
        handle.await;
    }
}

/// Lets each of `tasks` yield so often.
pub async fn yields<R: Runtime>(runtime: R, tasks: usize, yields: usize) {
    let latch = Latch::new(tasks);
    for _ in 0..tasks {
        let latch = latch.clone();
        runtime.spawn(async move {
            for _ in 0..yields {
                yield_now().await;
            }
            latch.count_down();
        });
    }
    latch.wait().await;
}

/// Whose turn it is, of two tasks that wake each other.
#[derive(Default)]
struct Turns {
    count: AtomicUsize,
    waiting: [AtomicWaker; 2],
}

impl Turns {
    /// Waits until the count has come to `turn`, then counts and wakes the other.
    async fn take(&self, turn: usize) {
        let me = turn % 2;
        poll_fn(|context| {
            if self.count.load(Ordering::Acquire) == turn {
                return Poll::Ready(());
            }
            self.waiting[me].register(context.waker());
            if self.count.load(Ordering::Acquire) == turn { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.count.store(turn + 1, Ordering::Release);
        self.waiting[1 - me].wake();
    }
}

/// Lets two tasks wake each other in turn, `wakes` times altogether: one poll each.
pub async fn wakes<R: Runtime>(runtime: R, wakes: usize) {
    let (turns, latch) = (Arc::new(Turns::default()), Latch::new(2));
    for me in 0..2 {
        let (turns, latch) = (Arc::clone(&turns), latch.clone());
        runtime.spawn(async move {
            for turn in (me..wakes).step_by(2) {
                turns.take(turn).await;
            }
            latch.count_down();
        });
    }
    latch.wait().await;
}

/// A task that counts how often it was polled, until told to end.
#[derive(Default)]
struct Polled {
    polls: AtomicUsize,
    end_at: AtomicUsize,
    waker: AtomicWaker,
}

impl Polled {
    /// The task. It ends with the first poll after which it was polled as often as it should, or
    /// later.
    async fn run(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            let polls = self.polls.fetch_add(1, Ordering::AcqRel) + 1;
            if polls >= self.end_at.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Wakes a task `wakes` times before it has its turn, and that `rounds` times.
///
/// # Panics
/// If that is not one poll a round.
pub async fn coalesced<R: Runtime>(runtime: R, rounds: usize, wakes: usize) {
    let task = Arc::new(Polled { end_at: AtomicUsize::new(rounds + 1), ..Polled::default() });
    let latch = Latch::new(1);
    let (polled, done) = (Arc::clone(&task), latch.clone());
    runtime.spawn(async move {
        polled.run().await;
        done.count_down();
    });
    for round in 0..=rounds {
        while task.polls.load(Ordering::Acquire) <= round {
            yield_now().await;
        }
        assert_eq!(task.polls.load(Ordering::Acquire), round + 1, "one poll a round");
        let Some(waker) = task.waker.take() else { continue };
        (0..wakes).for_each(|_| waker.wake_by_ref());
    }
    latch.wait().await;
}

/// Another thread wakes a task `wakes` times without waiting for it; done when the task has seen
/// the last.
pub async fn flood<R: Runtime>(_runtime: R, wakes: usize) {
    let (sent, waker) = (
        Arc::new(AtomicUsize::new(0)),
        poll_fn(|context| Poll::Ready(context.waker().clone())).await,
    );
    let sending = thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            for _ in 0..wakes {
                sent.fetch_add(1, Ordering::AcqRel);
                waker.wake_by_ref();
            }
        }
    });
    poll_fn(
        |_| if sent.load(Ordering::Acquire) == wakes { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
    sending.join().expect("a thread that ends");
}

/// Another thread wakes a task, waits until it was polled, and that `wakes` times.
pub async fn round_trips<R: Runtime>(_runtime: R, wakes: usize) {
    let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    let sending = thread::spawn({
        let (sent, seen) = (Arc::clone(&sent), Arc::clone(&seen));
        move || {
            for wake in 1..=wakes {
                sent.store(wake, Ordering::Release);
                waker.wake_by_ref();
                while seen.load(Ordering::Acquire) < wake {
                    thread::park();
                }
            }
        }
    });
    poll_fn(|_| {
        let wake = sent.load(Ordering::Acquire);
        if seen.swap(wake, Ordering::AcqRel) != wake {
            sending.thread().unpark();
        }
        if wake == wakes { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    sending.join().expect("a thread that ends");
}

/// How long each of `sleeps` is to take: from 1 to 10 ms.
fn spread(sleeps: usize) -> impl Iterator<Item = Duration> {
    (0..sleeps).map(move |n| Duration::from_micros((1_000 + 9_000 * n / sleeps) as u64))
}

/// Sets `sleeps` timers, then takes them all back: timeouts that are not needed.
pub async fn cancelled_sleeps<R: Timers>(runtime: R, sleeps: usize) {
    let mut set: Vec<_> =
        spread(sleeps).map(|duration| Box::pin(runtime.sleep(duration))).collect();
    poll_fn(|context| {
        assert!(
            set.iter_mut().all(|sleep| sleep.as_mut().poll(context).is_pending()),
            "it takes a millisecond"
        );
        Poll::Ready(())
    })
    .await;
    drop(set);
    yield_now().await;
}

/// Lets `sleeps` tasks sleep for 1 to 10 ms each.
pub async fn sleeps<R: Timers>(runtime: R, sleeps: usize) {
    let latch = Latch::new(sleeps);
    spread(sleeps).for_each(|duration| runtime.spawn_sleeper(duration, latch.clone()));
    latch.wait().await;
}

/// Lets `sleeps` tasks sleep for no time.
pub async fn zero_sleeps<R: Timers>(runtime: R, sleeps: usize) {
    let latch = Latch::new(sleeps);
    (0..sleeps).for_each(|_| runtime.spawn_sleeper(Duration::ZERO, latch.clone()));
    latch.wait().await;
}

/// Lets `pairs` of tasks send a byte to and fro over a socketpair, so often each.
pub async fn ping_pong<R: Sockets>(runtime: R, pairs: usize, rounds: usize) {
    let latch = Latch::new(pairs);
    for _ in 0..pairs {
        let ends = UnixStream::pair().expect("a socketpair");
        runtime.spawn_ping_pong(ends, rounds, latch.clone());
    }
    latch.wait().await;
}

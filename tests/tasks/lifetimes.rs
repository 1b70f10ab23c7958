//! Who polls a task, who drops what of it, and when: by the simulated clock, with other threads.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::simulated::{rounds, simulated};
use futures::future::FutureExt;
use qtloop::host::{Exec, Host};
use qtloop::{JoinHandle, LocalHandle, spawn_local, yield_now};

type Outcome = Result<(), Box<dyn Error>>;

/// A value whose drop panics.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("reported by the panic hook");
    }
}

#[test]
fn wakes_that_race_with_the_end_lose_nothing_and_leave_nothing() -> Outcome {
    const WAKERS: usize = 2;
    let event_loop = simulated();
    let alive = Arc::new(());
    for _ in 0..rounds(500) {
        let is_told = Arc::new(AtomicBool::new(false));
        let (told, held) = (Arc::clone(&is_told), Arc::clone(&alive));
        let (wakers, taken) = std::sync::mpsc::channel::<Waker>();
        let task = event_loop.spawn_local(poll_fn(move |context| {
            let _held = &held;
            // The first poll gives the wakers away; the one that is told ends.
            let _given = (0..WAKERS).try_for_each(|_| wakers.send(context.waker().clone()));
            if told.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        }));
        event_loop.block_on(yield_now())?;
        let barrier = Arc::new(Barrier::new(WAKERS));
        let threads: Vec<_> = (0..WAKERS)
            .map(|_| {
                let (waker, told, barrier) = (
                    taken.recv().expect("it was polled"),
                    Arc::clone(&is_told),
                    Arc::clone(&barrier),
                );
                thread::spawn(move || {
                    barrier.wait();
                    waker.wake_by_ref();
                    told.store(true, Ordering::Relaxed);
                    waker.wake_by_ref();
                    waker.wake();
                })
            })
            .collect();
        assert!(event_loop.block_on(task)?.is_ok());
        assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
    }
    drop(event_loop);
    assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn a_handle_in_another_thread_cancels_and_drops_what_is_its_own() -> Outcome {
    let event_loop = simulated();
    let value = Arc::new(());
    let spawn = |ends: bool| -> JoinHandle<Arc<()>> {
        let value = Arc::clone(&value);
        event_loop.spawn_local(async move {
            // The future cannot leave this thread, its output can.
            let _here = Rc::new(());
            if !ends {
                pending::<()>().await;
            }
            value
        })
    };
    let (ended, waiting, detached) = (spawn(true), spawn(false), spawn(true));
    event_loop.block_on(yield_now())?;
    assert!(ended.is_finished() && !waiting.is_finished() && detached.is_finished());
    assert_eq!(Arc::strong_count(&value), 4);
    thread::spawn(move || (drop(ended), drop(waiting), detached.detach()))
        .join()
        .expect("no panic");
    assert_eq!(
        Arc::strong_count(&value),
        2,
        "the future that waits is for the loop's thread to drop"
    );
    event_loop.block_on(yield_now())?;
    assert_eq!(Arc::strong_count(&value), 1);
    Ok(())
}

#[test]
fn an_outcome_that_nobody_wants_is_dropped_at_once() -> Outcome {
    let event_loop = simulated();
    let value = Rc::new(());
    let output = Rc::clone(&value);
    event_loop.spawn_local(async move { output }).detach();
    event_loop.block_on(yield_now())?;
    assert_eq!(Rc::strong_count(&value), 1);
    Ok(())
}

#[test]
fn an_outcome_is_given_once() -> Outcome {
    let event_loop = simulated();
    let mut task = pin!(event_loop.spawn_local(async { 1 }));
    assert_eq!(event_loop.block_on(task.as_mut())??, 1);
    assert!(task.is_finished());
    assert!(
        task.now_or_never().is_some_and(|again| again.is_err_and(|error| error.is_cancelled()))
    );
    Ok(())
}

#[test]
fn a_task_may_drop_its_own_handle() -> Outcome {
    let event_loop = simulated();
    let (alive, polls) = (Rc::new(()), Rc::new(Cell::new(0)));
    let slot = Rc::new(RefCell::new(None));
    let (held, count, own) = (Rc::clone(&alive), Rc::clone(&polls), Rc::clone(&slot));
    slot.replace(Some(event_loop.spawn_local(async move {
        let _held = held;
        count.set(count.get() + 1);
        drop(own.take());
        yield_now().await;
        count.set(count.get() + 1);
    })));
    event_loop.block_on(async {
        yield_now().await;
        yield_now().await;
    })?;
    assert_eq!((polls.get(), Rc::strong_count(&alive)), (1, 1));
    Ok(())
}

#[test]
fn what_panics_when_it_is_dropped_ends_its_task_all_the_same() -> Outcome {
    let event_loop = simulated();
    let done = event_loop.spawn_local(async {
        let _dropped_with_the_future = PanicsWhenDropped;
        yield_now().await;
        7
    });
    let cancelled = event_loop.spawn_local(async {
        let _dropped_with_the_future = PanicsWhenDropped;
        pending::<()>().await;
    });
    event_loop.spawn_local(async { PanicsWhenDropped }).detach();
    let outcomes = event_loop.block_on(async {
        yield_now().await;
        (done.await, cancelled.cancel().await)
    })?;
    assert!(outcomes.0.is_err_and(|error| error.is_panic()) && outcomes.1.is_none());
    drop(event_loop);
    Ok(())
}

#[test]
#[cfg_attr(miri, ignore = "what is panicked with at last is leaked on purpose")]
fn a_panic_whose_value_panics_when_it_is_dropped_ends_its_task_all_the_same() -> Outcome {
    struct PanicsWithThat;
    impl Drop for PanicsWithThat {
        fn drop(&mut self) {
            std::panic::panic_any(PanicsWhenDropped);
        }
    }
    let event_loop = simulated();
    event_loop.spawn_local(async { std::panic::panic_any(PanicsWhenDropped) }).detach();
    let done = event_loop.spawn_local(async {
        yield_now().await;
        PanicsWithThat
    });
    let cancelled = event_loop.spawn_local(async {
        let _dropped_with_the_future = PanicsWithThat;
        pending::<()>().await;
    });
    event_loop.block_on(yield_now())?;
    done.detach();
    assert!(event_loop.block_on(cancelled.cancel())?.is_none());
    drop(event_loop);
    Ok(())
}

#[test]
fn a_waker_may_outlive_the_loop() -> Outcome {
    let wakers = Rc::new(RefCell::new(Vec::new()));
    let event_loop = simulated();
    for ends in [true, false] {
        let to = Rc::clone(&wakers);
        let future = poll_fn(move |context| {
            to.borrow_mut().push(context.waker().clone());
            if ends { Poll::Ready(()) } else { Poll::Pending }
        });
        event_loop.spawn_local(future).detach();
    }
    event_loop.block_on(yield_now())?;
    drop(event_loop);
    let mut wakers = wakers.take();
    wakers.iter().for_each(Waker::wake_by_ref);
    let last = wakers.pop().expect("two tasks gave theirs");
    thread::spawn(move || (drop(last.clone()), last.wake_by_ref(), last.wake()))
        .join()
        .expect("no panic");
    Ok(())
}

#[test]
fn a_task_that_is_woken_while_it_is_polled_is_polled_once_more() -> Outcome {
    let event_loop = Rc::new(simulated());
    let (polls, inner) = (Rc::new(Cell::new(0)), Rc::clone(&event_loop));
    let count = Rc::clone(&polls);
    let task = event_loop.spawn_local(poll_fn(move |context: &mut Context<'_>| {
        count.set(count.get() + 1);
        if count.get() > 1 {
            return Poll::Ready(());
        }
        // By a task in a nested loop of the host's, and by another thread, and by itself.
        let (waker, host) = (context.waker().clone(), Rc::clone(&inner));
        spawn_local(async move {
            waker.wake_by_ref();
            let from_there = waker.clone();
            thread::spawn(move || from_there.wake()).join().expect("no panic");
            yield_now().await;
            yield_now().await;
            host.host().quit();
        })
        .detach();
        assert!(inner.host().run(Exec::Drain).is_ok());
        assert_eq!(count.get(), 1, "it is not polled while it is polled");
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    assert!(event_loop.block_on(task)?.is_ok());
    event_loop.block_on(yield_now())?;
    assert_eq!(polls.get(), 2);
    Ok(())
}

#[test]
fn a_future_may_wake_and_spawn_while_it_is_dropped() -> Outcome {
    struct Wakes(Waker, Rc<Cell<u32>>);
    impl Drop for Wakes {
        fn drop(&mut self) {
            self.0.wake_by_ref();
            let ran = Rc::clone(&self.1);
            LocalHandle::current().spawn_local(async move { ran.set(ran.get() + 1) }).detach();
        }
    }
    let event_loop = simulated();
    let ran = Rc::new(Cell::new(0));
    let spawn = |ends: bool| {
        let ran = Rc::clone(&ran);
        event_loop.spawn_local(async move {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            let _wakes = Wakes(waker, ran);
            if !ends {
                pending::<()>().await;
            }
        })
    };
    let (ended, cancelled, closed) = (spawn(true), spawn(false), spawn(false));
    event_loop.block_on(async {
        yield_now().await;
        assert!(ended.await.is_ok() && cancelled.cancel().await.is_none());
        yield_now().await;
    })?;
    assert_eq!(ran.get(), 2);
    drop(event_loop);
    assert_eq!(
        (ran.get(), Rc::strong_count(&ran)),
        (2, 1),
        "a closed loop runs nothing, and keeps nothing"
    );
    assert!(closed.is_finished());
    Ok(())
}

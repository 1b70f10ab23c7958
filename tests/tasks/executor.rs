//! Tasks on a loop of Rust's, by the simulated clock.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::simulated::{rounds, simulated};
use futures::channel::{mpsc, oneshot};
use futures::future::{FutureExt, join_all, select};
use futures::stream::StreamExt;
use futures::task::{LocalSpawn, LocalSpawnExt, Spawn, SpawnExt};
use qtloop::core::Time;
use qtloop::driver::{Ended, RunError};
use qtloop::host::{Exec, Host};
use qtloop::{
    BlockOnError, Elapsed, LocalHandle, interval, sleep, sleep_until, spawn_local, timeout,
    yield_now,
};

type Outcome = Result<(), Box<dyn Error>>;

const SECOND: Duration = Duration::from_secs(1);

/// A future that is never ready, and says when it is dropped.
struct Forever(Rc<Cell<bool>>);

impl Future for Forever {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Forever {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// A value that notes the thread which drops it.
struct DropsOn(Arc<AtomicUsize>, thread::ThreadId);

impl Drop for DropsOn {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.1, "a task's future was dropped by another thread");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_future_on_the_stack_may_borrow() -> Outcome {
    let event_loop = simulated();
    let text = String::from("lent");
    let length = event_loop.block_on(async {
        sleep(SECOND).await;
        text.len()
    })?;
    assert_eq!((length, event_loop.now()), (4, Time::from_secs(1.0)));
    Ok(())
}

#[test]
fn tasks_take_turns_in_the_order_in_which_they_became_ready() -> Outcome {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let tell = |name: &'static str| {
        let seen = Rc::clone(&seen);
        async move {
            for _ in 0..2 {
                seen.borrow_mut().push(name);
                yield_now().await;
            }
        }
    };
    simulated().block_on(async {
        join_all([spawn_local(tell("a")), spawn_local(tell("b")), spawn_local(tell("c"))]).await
    })?;
    assert_eq!(*seen.borrow(), ["a", "b", "c", "a", "b", "c"]);
    Ok(())
}

#[test]
fn a_dropped_handle_cancels_and_a_detached_one_does_not() -> Outcome {
    let (dropped, went_on) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let told = Rc::clone(&went_on);
    simulated().block_on(async {
        let task = spawn_local(Forever(Rc::clone(&dropped)));
        spawn_local(async move {
            yield_now().await;
            told.set(true);
        })
        .detach();
        yield_now().await;
        assert!(!task.is_finished() && !dropped.get());
        drop(task);
        sleep(SECOND).await;
    })?;
    assert!(dropped.get() && went_on.get());
    Ok(())
}

#[test]
fn cancelling_waits_until_the_future_is_gone_and_gives_what_was_ready() -> Outcome {
    let dropped = Rc::new(Cell::new(false));
    simulated().block_on(async {
        let task = spawn_local(Forever(Rc::clone(&dropped)));
        yield_now().await;
        assert!(task.cancel().await.is_none() && dropped.get());
        let task = spawn_local(async { 1 });
        yield_now().await;
        assert!(task.is_finished());
        assert_eq!(task.cancel().await, Some(1));
        assert_eq!(spawn_local(async { 2 }).cancel().await, None, "it had not begun");
    })?;
    Ok(())
}

#[test]
fn a_panic_is_the_task_s_outcome_and_spreads_no_further() -> Outcome {
    simulated().block_on(async {
        let task = spawn_local(async { panic!("on {}", "purpose") });
        spawn_local(async { panic!("nobody waits for this one") }).detach();
        let error: qtloop::JoinError = task.await.map(|(): ()| ()).expect_err("it panicked");
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.to_string(), "the task panicked: on purpose");
        assert!(error.into_panic().is_some_and(|panic| panic.is::<String>() || panic.is::<&str>()));
        yield_now().await;
    })?;
    Ok(())
}

#[test]
fn a_panic_of_the_main_future_leaves_block_on_and_the_loop_can_run_again() -> Outcome {
    let event_loop = simulated();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        event_loop.block_on(async {
            yield_now().await;
            panic!("on purpose")
        })
    }));
    assert_eq!(outcome.expect_err("it panics").downcast_ref(), Some(&"on purpose"));
    assert_eq!(event_loop.block_on(async { 3 })?, 3);
    Ok(())
}

#[test]
fn what_is_left_goes_on_in_the_next_run() -> Outcome {
    let event_loop = simulated();
    let task = event_loop.spawn_local(async {
        sleep(3 * SECOND).await;
        "done"
    });
    event_loop.block_on(sleep_until(Time::from_secs(1.0)))?;
    assert_eq!(event_loop.block_on(task)??, "done");
    assert_eq!(event_loop.now(), Time::from_secs(3.0));
    Ok(())
}

#[test]
fn a_stopped_run_drops_its_future() -> Outcome {
    let event_loop = simulated();
    let dropped = Rc::new(Cell::new(false));
    let (handle, main) = (event_loop.local(), Forever(Rc::clone(&dropped)));
    event_loop.local().call_soon(move || handle.stop());
    assert!(matches!(event_loop.block_on(main), Err(BlockOnError::Stopped)));
    assert!(dropped.get());
    event_loop.stop();
    assert!(matches!(event_loop.run(), Ok(Ended::Stopped)));
    assert!(matches!(
        event_loop.block_on(async { event_loop.run() })?,
        Err(RunError::Refused(refused)) if refused.to_string() == "This event loop is already \
            running"
    ));
    Ok(())
}

#[test]
fn a_refused_run_takes_no_wish_to_stop_back() -> Outcome {
    let event_loop = Rc::new(simulated());
    let inner = Rc::clone(&event_loop);
    event_loop.local().call_soon(move || {
        inner.stop();
        assert!(matches!(inner.run(), Err(RunError::Refused(_))));
    });
    assert!(matches!(event_loop.block_on(pending::<()>()), Err(BlockOnError::Stopped)));
    Ok(())
}

#[test]
fn a_closed_loop_drops_every_task_on_its_thread() -> Outcome {
    let drops = Arc::new(AtomicUsize::new(0));
    let value = || DropsOn(Arc::clone(&drops), thread::current().id());
    let event_loop = simulated();
    let (local, handle) = (event_loop.local(), event_loop.handle());
    let (never, receiver) = oneshot::channel::<()>();
    let (value_1, value_2, value_3) = (value(), value(), value());
    let mut tasks = vec![
        event_loop.spawn_local(async move {
            pending::<()>().await;
            drop(value_1);
        }),
        event_loop.spawn_local(async move {
            let _told = receiver.await;
            drop(value_2);
        }),
    ];
    event_loop.block_on(yield_now())?;
    tasks.push(event_loop.spawn_local(async move { drop(value_3) }));
    drop(event_loop);
    assert_eq!(drops.load(Ordering::SeqCst), 3);
    assert!(handle.is_closed() && never.is_canceled());
    for task in tasks.into_iter().chain([local.spawn_local(async {}), handle.spawn(async {})]) {
        let outcome = task.now_or_never().expect("it is cancelled");
        assert!(outcome.expect_err("it is cancelled").is_cancelled());
    }
    assert!(handle.spawn(async {}).is_finished());
    assert!(
        local.status_local().is_err_and(|error| error.is_shutdown()) && handle.status().is_err()
    );
    Ok(())
}

#[test]
fn tasks_woken_by_other_threads_while_the_loop_closes_are_dropped_here() {
    let drops = Arc::new(AtomicUsize::new(0));
    let times = rounds(200);
    for _ in 0..times {
        let event_loop = simulated();
        let (wakers, taken) = std::sync::mpsc::channel();
        for _ in 0..4 {
            let (wakers, value) =
                (wakers.clone(), DropsOn(Arc::clone(&drops), thread::current().id()));
            event_loop
                .spawn_local(async move {
                    let _value = &value;
                    poll_fn(|context| {
                        wakers
                            .send(context.waker().clone())
                            .map_or(Poll::Ready(()), |()| Poll::Pending)
                    })
                    .await;
                })
                .detach();
        }
        assert!(event_loop.block_on(yield_now()).is_ok());
        let wakers: Vec<Waker> = taken.try_iter().collect();
        thread::scope(|scope| {
            scope.spawn(move || wakers.iter().for_each(Waker::wake_by_ref));
            drop(event_loop);
        });
    }
    assert_eq!(drops.load(Ordering::SeqCst), 4 * times);
}

#[test]
fn a_loop_that_was_attached_for_ever_is_detached_when_it_is_dropped() -> Outcome {
    let dropped = Rc::new(Cell::new(false));
    let event_loop = simulated();
    let task = event_loop.spawn_local(Forever(Rc::clone(&dropped)));
    event_loop.block_on(yield_now())?;
    std::mem::forget(event_loop.attach()?);
    drop(event_loop);
    assert!(dropped.get() && task.is_finished());
    Ok(())
}

#[test]
fn a_thousand_wakes_are_one_poll() -> Outcome {
    let event_loop = simulated();
    let polls = Rc::new(Cell::new(0));
    let (count, slot) = (Rc::clone(&polls), Rc::new(RefCell::new(None::<Waker>)));
    let waker = Rc::clone(&slot);
    event_loop
        .spawn_local(poll_fn(move |context| {
            count.set(count.get() + 1);
            waker.replace(Some(context.waker().clone()));
            Poll::<()>::Pending
        }))
        .detach();
    event_loop.block_on(async {
        yield_now().await;
        let waker = slot.borrow().clone().expect("it was polled");
        (0..rounds(1000)).for_each(|_| waker.wake_by_ref());
        yield_now().await;
        yield_now().await;
        assert_eq!(polls.get(), 2);
        thread::spawn(move || (0..rounds(1000)).for_each(|_| waker.wake_by_ref()))
            .join()
            .expect("no panic");
        yield_now().await;
        yield_now().await;
        assert_eq!(polls.get(), 3);
    })?;
    Ok(())
}

#[test]
fn other_threads_spawn_call_and_wake() -> Outcome {
    let event_loop = simulated();
    let home = thread::current().id();
    let (sender, mut receiver) = mpsc::unbounded();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (handle, sender) = (event_loop.handle(), sender.clone());
            thread::spawn(move || {
                let task = handle.spawn(async move {
                    yield_now().await;
                    (n, thread::current().id())
                });
                let told = sender.clone();
                handle.call_soon(move || {
                    assert!(told.unbounded_send(thread::current().id()).is_ok())
                });
                futures::executor::block_on(task).map(|outcome| sender.unbounded_send(outcome.1))
            })
        })
        .collect();
    drop(sender);
    let seen =
        event_loop.block_on(async { receiver.by_ref().take(8).collect::<Vec<_>>().await })?;
    assert_eq!(seen, [home; 8]);
    assert!(threads.into_iter().all(|thread| thread.join().is_ok_and(|outcome| outcome.is_ok())));
    Ok(())
}

#[test]
fn the_futures_crate_can_spawn() -> Outcome {
    let event_loop = simulated();
    let (local, handle) = (event_loop.local(), event_loop.handle());
    let (a, b, c) = event_loop.block_on(async {
        let rc = Rc::new(1);
        let a = local.spawn_local_with_handle(async move { *rc })?;
        let b = local.spawn_with_handle(async { 2 })?;
        let c = thread::spawn(move || handle.spawn_with_handle(async { 3 }))
            .join()
            .expect("no panic")?;
        Ok::<_, futures::task::SpawnError>((a.await, b.await, c.await))
    })??;
    assert_eq!((a, b, c), (1, 2, 3));
    Ok(())
}

#[test]
fn a_wake_that_comes_of_an_item_may_be_any_waker_s() -> Outcome {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    simulated().block_on(async {
        let mut alone = Box::pin(sleep(SECOND));
        assert!(
            alone.as_mut().poll(&mut Context::from_waker(&Arc::clone(&count).into())).is_pending()
        );
        sleep(2 * SECOND).await;
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        alone.await;
    })?;
    Ok(())
}

#[test]
fn timers_end_in_the_order_of_their_deadlines_and_never_early() -> Outcome {
    let ended = Rc::new(RefCell::new(Vec::new()));
    let event_loop = simulated();
    event_loop.block_on(join_all([30u64, 10, 20, 10, 0].map(|millis| {
        let ended = Rc::clone(&ended);
        let event_loop = &event_loop;
        async move {
            sleep(Duration::from_millis(millis)).await;
            ended.borrow_mut().push((millis, event_loop.now()));
        }
    })))?;
    let at = |millis: u64| (millis, Time::from_nanos(millis * 1_000_000));
    assert_eq!(*ended.borrow(), [at(0), at(10), at(10), at(20), at(30)]);
    Ok(())
}

#[test]
fn a_sleep_counts_from_its_making_and_can_be_set_anew() -> Outcome {
    let event_loop = simulated();
    event_loop.block_on(async {
        let early = sleep(SECOND);
        sleep(2 * SECOND).await;
        early.await;
        assert_eq!(event_loop.now(), Time::from_secs(2.0));
        let mut again = Box::pin(sleep(SECOND));
        assert!(futures::poll!(again.as_mut()).is_pending());
        again.reset(Time::from_secs(4.0));
        again.await;
        assert_eq!(event_loop.now(), Time::from_secs(4.0));
    })?;
    Ok(())
}

#[test]
fn a_dropped_sleep_leaves_no_timer() -> Outcome {
    let event_loop = simulated();
    event_loop.block_on(async {
        for _ in 0..rounds(1000) {
            assert_eq!(timeout(3600 * SECOND, yield_now()).await, Ok(()));
        }
        let _either = select(Box::pin(sleep(SECOND)), Box::pin(sleep(2 * SECOND))).await;
    })?;
    assert_eq!(event_loop.now(), Time::from_secs(1.0));
    event_loop.block_on(yield_now())?;
    assert_eq!(event_loop.now(), Time::from_secs(1.0), "no timer was left to wait for");
    Ok(())
}

#[test]
fn a_timeout_drops_what_takes_too_long() -> Outcome {
    let dropped = Rc::new(Cell::new(false));
    let outcome = simulated().block_on(timeout(SECOND, Forever(Rc::clone(&dropped))))?;
    assert_eq!(outcome, Err(Elapsed));
    assert_eq!(outcome.map_err(|elapsed| elapsed.to_string()), Err("the time was up".into()));
    assert!(dropped.get());
    Ok(())
}

#[test]
fn an_interval_keeps_its_beat_and_leaves_out_what_was_missed() -> Outcome {
    let event_loop = simulated();
    let beats = event_loop.block_on(async {
        let mut beat = interval(SECOND);
        let mut beats = vec![beat.tick().await, beat.tick().await];
        sleep(Duration::from_millis(2500)).await;
        beats.push(beat.tick().await);
        beats.extend(beat.next().await);
        beats
    })?;
    assert_eq!(beats, [1.0, 2.0, 3.0, 5.0].map(Time::from_secs));
    assert_eq!(event_loop.now(), Time::from_secs(5.0));
    Ok(())
}

#[test]
fn a_nested_run_of_the_host_inside_a_poll() -> Outcome {
    let event_loop = Rc::new(simulated());
    let (ticks, inner) = (Rc::new(Cell::new(0)), Rc::clone(&event_loop));
    let count = Rc::clone(&ticks);
    let ticking = event_loop.spawn_local(async move {
        loop {
            sleep(SECOND).await;
            count.set(count.get() + 1);
            if count.get() == 3 {
                inner.host().quit();
            }
        }
    });
    event_loop.block_on(async {
        assert!(event_loop.host().run(Exec::Drain).is_ok());
        assert_eq!((ticks.get(), event_loop.now()), (3, Time::from_secs(3.0)));
        sleep(SECOND).await;
        assert_eq!(ticks.get(), 4, "the loop goes on");
        // It holds the loop.
        let () = ticking.cancel().await.unwrap_or_default();
    })?;
    Ok(())
}

#[test]
fn outside_of_a_loop_a_sleep_waits_for_one_and_a_task_cannot_be_made() -> Outcome {
    assert!(LocalHandle::try_current().is_none());
    let (mut alone, event_loop) = (Box::pin(sleep(SECOND)), simulated());
    event_loop.block_on(sleep(SECOND))?;
    event_loop.block_on(sleep_until(Time::from_secs(3.0)))?;
    event_loop.block_on(alone.as_mut())?;
    assert_eq!(event_loop.now(), Time::from_secs(4.0));
    let text = |panic: Box<dyn std::any::Any + Send>| {
        panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned()
    };
    for panic in [
        std::panic::catch_unwind(|| drop(spawn_local(async {}))),
        std::panic::catch_unwind(|| sleep(SECOND).now_or_never().unwrap_or_default()),
    ] {
        assert_eq!(
            text(panic.expect_err("there is no loop")),
            "no qtloop event loop runs on this thread"
        );
    }
    Ok(())
}

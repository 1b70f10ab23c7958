//! Tasks inside Qt's event loop, under the dispatcher that Qt chose.

use std::cell::Cell;
use std::error::Error;
use std::future::pending;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use qtloop::core::Time;
use qtloop::host::{Exec, Host};
use qtloop::qt::{Application, QtHost};
use qtloop::{BlockOnError, EventLoop, JoinHandle, sleep, spawn_local, yield_now};

type Outcome = Result<(), Box<dyn Error>>;

const TICK: Duration = Duration::from_millis(1);

pub fn tasks_run_inside_qt() {
    outcome().expect("every step works");
}

fn outcome() -> Outcome {
    without_an_application()?;
    run_makes_an_application()?;
    let _application = Application::new().expect("the first is gone");
    timers_are_never_early()?;
    quitting_the_application_drops_the_future()?;
    a_loop_is_attached_to_the_applications_own()?;
    the_application_s_loop_serves_what_comes_between_two_turns()?;
    a_nested_loop_inside_a_future()?;
    two_loops_on_one_thread()?;
    a_loop_on_another_thread()
}

fn without_an_application() -> Outcome {
    let outcome = EventLoop::new(QtHost::new())?.block_on(async {});
    let error = outcome.expect_err("there is no application");
    assert!(error.to_string().contains("QCoreApplication"), "{error}");
    assert_eq!(Application::exec(), -1);
    Application::quit();
    Ok(())
}

fn run_makes_an_application() -> Outcome {
    let outcome = qtloop::run(async {
        assert!(Application::new().is_none());
        sleep(TICK).await;
        spawn_local(async { 5 }).await
    });
    assert_eq!(outcome??, 5);
    Ok(())
}

fn timers_are_never_early() -> Outcome {
    let event_loop = EventLoop::new(QtHost::new())?;
    event_loop.block_on(async {
        for micros in [0, 1, 500, 1000, 2500] {
            let deadline = event_loop.now().after(Duration::from_micros(micros));
            qtloop::sleep_until(deadline).await;
            assert!(event_loop.now() >= deadline);
        }
    })?;
    Ok(())
}

fn quitting_the_application_drops_the_future() -> Outcome {
    let witness = Rc::new(());
    let (outcome, held) = (EventLoop::new(QtHost::new())?, Rc::clone(&witness));
    let outcome = outcome.block_on(async move {
        let _held = held;
        sleep(TICK).await;
        Application::quit();
        pending::<()>().await;
    });
    assert!(matches!(outcome, Err(BlockOnError::Quit(0))));
    assert_eq!(Rc::strong_count(&witness), 1);
    Ok(())
}

fn a_loop_is_attached_to_the_applications_own() -> Outcome {
    let event_loop = EventLoop::new(QtHost::new())?;
    let attachment = event_loop.attach()?;
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    let task: JoinHandle<()> = spawn_local(async move {
        for _ in 0..3 {
            sleep(TICK).await;
            count.set(count.get() + 1);
        }
        Application::quit();
    });
    assert_eq!((Application::exec(), ticks.get(), task.is_finished()), (0, 3, true));
    attachment.detach()?;
    assert!(event_loop.block_on(async { 1 }).is_ok(), "a detached loop can run");
    Ok(())
}

fn the_application_s_loop_serves_what_comes_between_two_turns() -> Outcome {
    let event_loop = EventLoop::new(QtHost::new())?;
    let _attachment = event_loop.attach()?;
    let (sender, receiver) = oneshot::channel();
    let waking = thread::spawn(move || sender.send(7));
    let handle = event_loop.handle();
    handle
        .spawn(async move {
            assert_eq!(receiver.await, Ok(7));
            Application::quit();
        })
        .detach();
    assert_eq!(Application::exec(), 0);
    assert!(waking.join().is_ok_and(|sent| sent.is_ok()));
    Ok(())
}

fn a_nested_loop_inside_a_future() -> Outcome {
    let event_loop = Rc::new(EventLoop::new(QtHost::new())?);
    let (ticks, inner) = (Rc::new(Cell::new(0)), Rc::clone(&event_loop));
    let count = Rc::clone(&ticks);
    let ticking = event_loop.spawn_local(async move {
        loop {
            sleep(TICK).await;
            count.set(count.get() + 1);
            if count.get() == 3 {
                inner.host().quit();
            }
        }
    });
    event_loop.block_on(async {
        assert!(event_loop.host().run(Exec::Drain).is_ok());
        assert_eq!(ticks.get(), 3);
        while ticks.get() == 3 {
            yield_now().await;
        }
    })?;
    drop(ticking);
    event_loop.block_on(yield_now())?;
    assert_eq!(Rc::strong_count(&event_loop), 1, "the cancelled task is gone");
    Ok(())
}

fn two_loops_on_one_thread() -> Outcome {
    let outer = EventLoop::new(QtHost::new())?;
    let told = Rc::new(Cell::new(Time::ZERO));
    let tell = Rc::clone(&told);
    let done = outer.block_on(async {
        spawn_local(async move { tell.set(qtloop::LocalHandle::current().now()) }).detach();
        // The tasks of the outer loop have their turns while the inner one runs.
        let inner = EventLoop::new(QtHost::new())?;
        inner
            .block_on(async {
                while told.get() == Time::ZERO {
                    sleep(TICK).await;
                }
                spawn_local(async { "inner" }).await
            })?
            .map_err(Box::<dyn Error>::from)
    })??;
    assert_eq!(done, "inner");
    Ok(())
}

fn a_loop_on_another_thread() -> Outcome {
    let other = thread::spawn(|| {
        let event_loop = EventLoop::new(QtHost::new()).expect("fds are left");
        event_loop.block_on(async {
            sleep(TICK).await;
            thread::current().id()
        })
    });
    assert_eq!(other.thread().id(), other.join().expect("no panic")?);
    Ok(())
}

//! An extension module with Rust futures: for `tests/python/rust_futures/test_rust_futures.py`.
#![allow(clippy::expect_used, missing_docs)]

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTimeoutError};
use pyo3::prelude::*;
#[cfg(feature = "async-runtimes")]
use pyo3_async_runtimes::generic::Runtime;
use qtloop::python::{current_loop, future_into_py, handle_of, into_future};
#[cfg(feature = "async-runtimes")]
use qtloop::{JoinError, python::Qtloop};
use qtloop::{sleep, spawn_local, timeout, yield_now};

type Awaitable<'py> = PyResult<Bound<'py, PyAny>>;

/// How many of the futures with a `Mark` are there.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts, and calls a function when it is dropped.
struct Mark(Option<Py<PyAny>>);

impl Mark {
    fn new(on_drop: Option<Py<PyAny>>) -> Mark {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Mark(on_drop)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
        if let Some(on_drop) = self.0.take() {
            Python::attach(|py| {
                on_drop.call0(py).map(drop).unwrap_or_else(|error| error.write_unraisable(py, None))
            });
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn call(callback: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    Python::attach(|py| callback.call0(py))
}

/// Awaits what `callback()` returns.
async fn awaited(callback: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    Python::attach(|py| into_future(callback.bind(py).call0()?))?.await
}

/// Code that knows of no particular runtime.
#[cfg(feature = "async-runtimes")]
mod generic_runtime {
    use pyo3_async_runtimes::generic::{self, ContextExt, LocalContextExt, Runtime, SpawnLocalExt};

    use super::*;

    pub fn after<R: Runtime + ContextExt>(
        py: Python<'_>,
        delay: f64,
        value: Option<Py<PyAny>>,
    ) -> Awaitable<'_> {
        generic::future_into_py::<R, _, _>(py, async move {
            let _mark = Mark::new(None);
            assert!(R::spawn_blocking(move || thread::sleep(seconds(delay))).await.is_ok());
            Ok(value)
        })
    }

    pub fn relay<R: Runtime + ContextExt>(awaitable: Bound<'_, PyAny>) -> Awaitable<'_> {
        let py = awaitable.py();
        let future = generic::into_future::<R>(awaitable)?;
        generic::future_into_py::<R, _, _>(py, async move {
            let _mark = Mark::new(None);
            future.await
        })
    }

    #[allow(deprecated, reason = "whoever has code for it has a use for it")]
    pub fn calling<R>(py: Python<'_>, callback: Py<PyAny>) -> Awaitable<'_>
    where
        R: Runtime + SpawnLocalExt + LocalContextExt + ContextExt,
    {
        generic::local_future_into_py::<R, _, _>(py, async move {
            call(&callback)?;
            sleep(seconds(0.001)).await;
            assert!(Python::attach(|py| generic::get_current_loop::<R>(py).is_ok()));
            call(&callback)
        })
    }
}

#[pymodule]
mod rust_futures {
    use super::*;

    #[pyfunction]
    fn alive() -> usize {
        ALIVE.load(Ordering::SeqCst)
    }

    /// Gives its argument after a while.
    #[pyfunction]
    #[pyo3(signature = (delay, value=None))]
    fn after(py: Python<'_>, delay: f64, value: Option<Py<PyAny>>) -> Awaitable<'_> {
        future_into_py(py, async move {
            let _mark = Mark::new(None);
            sleep(seconds(delay)).await;
            Ok(value)
        })
    }

    /// Raises its argument.
    #[pyfunction]
    fn raising<'py>(py: Python<'py>, error: Bound<'py, PyAny>) -> Awaitable<'py> {
        let error = PyErr::from_value(error);
        future_into_py(py, async move {
            yield_now().await;
            Err::<(), _>(error)
        })
    }

    #[pyfunction]
    fn panicking(py: Python<'_>, text: String) -> Awaitable<'_> {
        future_into_py(py, async move {
            let _mark = Mark::new(None);
            yield_now().await;
            if true {
                panic!("{text}");
            }
            Ok(())
        })
    }

    /// Never ends; calls `on_drop` when it is dropped.
    #[pyfunction]
    #[pyo3(signature = (on_drop=None))]
    fn forever(py: Python<'_>, on_drop: Option<Py<PyAny>>) -> Awaitable<'_> {
        let mark = Mark::new(on_drop);
        future_into_py(py, async move {
            let _mark = mark;
            pending::<PyResult<()>>().await
        })
    }

    /// Awaits what it is given.
    #[pyfunction]
    fn relay<'py>(awaitable: Bound<'py, PyAny>) -> Awaitable<'py> {
        let py = awaitable.py();
        let future = into_future(awaitable)?;
        future_into_py(py, async move {
            let _mark = Mark::new(None);
            future.await
        })
    }

    /// Awaits what `callback()` returns, in a task of Rust's inside a task of Rust's.
    #[pyfunction]
    fn call_in_task(py: Python<'_>, callback: Py<PyAny>) -> Awaitable<'_> {
        future_into_py(py, async move {
            let task = spawn_local(async move { awaited(&callback).await });
            task.await.map_err(|error| PyRuntimeError::new_err(error.to_string()))?
        })
    }

    /// Awaits what `callback()` returns for so long.
    #[pyfunction]
    fn within(py: Python<'_>, limit: f64, callback: Py<PyAny>) -> Awaitable<'_> {
        future_into_py(py, async move {
            match timeout(seconds(limit), awaited(&callback)).await {
                Ok(outcome) => outcome,
                Err(elapsed) => Err(PyTimeoutError::new_err(elapsed.to_string())),
            }
        })
    }

    /// Awaits two at once: what both give.
    #[pyfunction]
    fn both(py: Python<'_>, one: Py<PyAny>, other: Py<PyAny>) -> Awaitable<'_> {
        future_into_py(py, async move {
            let (one, other) = futures::future::join(awaited(&one), awaited(&other)).await;
            Ok((one?, other?))
        })
    }

    /// What `get()` returns, before and after a sleep, with `set()` called in between.
    #[pyfunction]
    fn looks(py: Python<'_>, get: Py<PyAny>, set: Py<PyAny>) -> Awaitable<'_> {
        future_into_py(py, async move {
            let first = call(&get)?;
            sleep(seconds(0.001)).await;
            call(&set)?;
            let second = call(&get)?;
            sleep(seconds(0.001)).await;
            Ok((first, second, call(&get)?))
        })
    }

    /// Calls a function in each of two polls.
    #[pyfunction]
    fn calling(py: Python<'_>, callback: Py<PyAny>) -> Awaitable<'_> {
        future_into_py(py, async move {
            call(&callback)?;
            yield_now().await;
            call(&callback)
        })
    }

    /// Spawns so many tasks that each sleep, and gives the sum of what they give.
    #[pyfunction]
    fn spawning(py: Python<'_>, count: u64) -> Awaitable<'_> {
        future_into_py(py, async move {
            let sleep_for = |n: u64| async move {
                sleep(Duration::from_micros(n % 7)).await;
                n
            };
            let tasks: Vec<_> = (0..count).map(|n| spawn_local(sleep_for(n))).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.expect("no task panics");
            }
            Ok(sum)
        })
    }

    /// Is woken so often by other threads while its loop is busy: how often it was polled for that.
    #[pyfunction]
    fn woken(py: Python<'_>, times: usize) -> Awaitable<'_> {
        future_into_py(py, async move {
            let polls = Cell::new(0);
            let place = Arc::new(Mutex::new(None::<Waker>));
            let is_woken = Arc::new(AtomicUsize::new(0));
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                if polls.get() == 1 {
                    place.lock().expect("nobody panics").replace(context.waker().clone());
                    let wake = || {
                        let (place, is_woken) = (Arc::clone(&place), Arc::clone(&is_woken));
                        thread::spawn(move || {
                            for _ in 0..times / 4 {
                                place
                                    .lock()
                                    .expect("nobody panics")
                                    .as_ref()
                                    .expect("set")
                                    .wake_by_ref();
                                is_woken.fetch_add(1, Ordering::SeqCst);
                            }
                        })
                    };
                    let threads: Vec<_> = (0..4).map(|_| wake()).collect();
                    threads.into_iter().for_each(|thread| thread.join().expect("nobody panics"));
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            sleep(seconds(0.005)).await;
            Ok((is_woken.load(Ordering::SeqCst), polls.get()))
        })
    }

    /// Waits for what another Rust thread computes on its own, and then by a task that it spawns
    /// here.
    #[pyfunction]
    fn from_thread(py: Python<'_>) -> Awaitable<'_> {
        let handle = current_loop(py)?.handle();
        future_into_py(py, async move {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let here = thread::current().id();
            let thread = thread::spawn(move || {
                let task = handle.spawn(async move {
                    yield_now().await;
                    thread::current().id() == here
                });
                sender.send(task).expect("somebody receives");
            });
            let task = receiver.await.expect("it was sent");
            thread.join().expect("it does not panic");
            task.await.map_err(|error| PyRuntimeError::new_err(error.to_string()))
        })
    }

    /// Has another Rust thread call a function here, which spawns a task: what that gives.
    #[pyfunction]
    fn called_by_thread(py: Python<'_>) -> Awaitable<'_> {
        let handle = current_loop(py)?.handle();
        future_into_py(py, async move {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let function = move || {
                let answer = async move {
                    sleep(seconds(0.001)).await;
                    assert_eq!(sender.send(42), Ok(()));
                };
                spawn_local(answer).detach();
            };
            thread::spawn(move || handle.call_soon(function));
            receiver.await.map_err(|error| PyRuntimeError::new_err(error.to_string()))
        })
    }

    /// Lets a loop call a function by a task, which is not awaited.
    #[pyfunction]
    fn spawn_on(event_loop: &Bound<'_, PyAny>, callback: Py<PyAny>) -> PyResult<()> {
        let mark = Mark::new(None);
        let task = handle_of(event_loop)?.spawn_local(async move {
            let _mark = mark;
            sleep(Duration::ZERO).await;
            call(&callback).map(drop).expect("the callback does not raise");
        });
        task.detach();
        Ok(())
    }

    /// A task that never ends, with a value that must not leave its thread.
    #[pyfunction]
    fn spawn_forever_on(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let mark = (Rc::new(()), Mark::new(None));
        let task = handle_of(event_loop)?.spawn_local(async move {
            let _mark = mark;
            loop {
                sleep(Duration::from_secs(3600)).await;
            }
        });
        task.detach();
        Ok(())
    }

    /// A task that, when it is dropped, spawns another.
    #[pyfunction]
    fn spawn_when_dropped(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        struct Spawns(Mark);
        impl Drop for Spawns {
            fn drop(&mut self) {
                let mark = Mark::new(None);
                spawn_local(async move { drop(mark) }).detach();
                sleep(Duration::ZERO).now_or_never_polled();
            }
        }
        trait PolledOnce {
            fn now_or_never_polled(self);
        }
        impl<F: Future> PolledOnce for F {
            fn now_or_never_polled(self) {
                use futures::FutureExt;
                assert!(self.now_or_never().is_none());
            }
        }
        let spawns = Spawns(Mark::new(None));
        let task = handle_of(event_loop)?.spawn_local(async move {
            let _spawns = &spawns.0;
            pending::<()>().await;
        });
        task.detach();
        Ok(())
    }

    /// As `after`, by way of `pyo3-async-runtimes` and a thread that sleeps.
    #[cfg(feature = "async-runtimes")]
    #[pyfunction]
    #[pyo3(signature = (delay, value=None))]
    fn generic_after(py: Python<'_>, delay: f64, value: Option<Py<PyAny>>) -> Awaitable<'_> {
        generic_runtime::after::<Qtloop>(py, delay, value)
    }

    /// As `relay`, by way of `pyo3-async-runtimes`.
    #[cfg(feature = "async-runtimes")]
    #[pyfunction]
    fn generic_relay<'py>(awaitable: Bound<'py, PyAny>) -> Awaitable<'py> {
        generic_runtime::relay::<Qtloop>(awaitable)
    }

    /// Calls back by way of `pyo3-async-runtimes` in a future that is not `Send`: before and after
    /// a sleep.
    #[cfg(feature = "async-runtimes")]
    #[pyfunction]
    fn generic_calling(py: Python<'_>, callback: Py<PyAny>) -> Awaitable<'_> {
        generic_runtime::calling::<Qtloop>(py, callback)
    }

    /// Spawns from a thread that has no loop: whether the task, and a panic of another, came back.
    #[cfg(feature = "async-runtimes")]
    #[pyfunction]
    fn generic_from_thread(py: Python<'_>) -> Awaitable<'_> {
        future_into_py(py, async {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let thread = thread::spawn(move || {
                let fine = Qtloop::spawn(async {});
                let panics = Qtloop::spawn(async { panic!("by design") });
                let blocks = Qtloop::spawn_blocking(|| panic!("by design"));
                assert!(sender.send((fine, panics, blocks)).is_ok());
            });
            let (fine, panics, blocks) = receiver.await.expect("it was sent");
            thread.join().expect("it does not panic");
            let is_panic =
                |outcome: Result<(), JoinError>| outcome.is_err_and(|error| error.is_panic());
            Ok((fine.await.is_ok(), is_panic(panics.await), is_panic(blocks.await)))
        })
    }

    /// Whether this thread has a loop for Rust futures.
    #[pyfunction]
    fn has_loop(py: Python<'_>) -> PyResult<()> {
        current_loop(py).map(drop)
    }
}

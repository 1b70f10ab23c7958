//! calloop: its executor, and its timers and descriptors as sources of the same loop.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use calloop::futures::{Scheduler, executor};
use calloop::io::Async;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{EventLoop, LoopHandle, RegistrationToken};

use crate::latch::Latch;
use crate::runtime::{Runtime, Sockets, Timers};

/// The loop.
#[derive(Clone)]
pub struct Calloop {
    event_loop: Rc<RefCell<EventLoop<'static, ()>>>,
    handle: LoopHandle<'static, ()>,
    scheduler: Scheduler<()>,
}

impl Default for Calloop {
    fn default() -> Calloop {
        let event_loop = EventLoop::try_new().expect("a loop");
        let handle = event_loop.handle();
        let (executor, scheduler) = executor().expect("an executor");
        handle.insert_source(executor, |(), (), ()| ()).expect("a source");
        Calloop { event_loop: Rc::new(RefCell::new(event_loop)), handle, scheduler }
    }
}

impl Calloop {
    fn spawn_local(&self, future: impl Future<Output = ()> + 'static) {
        self.scheduler.schedule(future).expect("the executor is there");
    }
}

impl Runtime for Calloop {
    fn name(&self) -> String {
        "calloop".into()
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        let output = Rc::new(Cell::new(None));
        let mut event_loop = self.event_loop.borrow_mut();
        let (place, signal) = (Rc::clone(&output), event_loop.get_signal());
        self.spawn_local(async move {
            place.set(Some(main.await));
            signal.stop();
        });
        event_loop.run(None, &mut (), |()| ()).expect("a loop");
        output.take().expect("an output")
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        self.spawn_local(future);
    }
}

/// A timer source as a future. Unlike calloop's own it is taken back when dropped.
struct Sleep {
    handle: LoopHandle<'static, ()>,
    duration: Duration,
    has_fired: Rc<Cell<bool>>,
    source: Option<RegistrationToken>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.has_fired.get() {
            return Poll::Ready(());
        }
        if self.source.is_none() {
            let (waker, has_fired) = (context.waker().clone(), Rc::clone(&self.has_fired));
            let fired = move |_, (): &mut (), (): &mut ()| {
                has_fired.set(true);
                waker.wake_by_ref();
                TimeoutAction::Drop
            };
            let source = self.handle.insert_source(Timer::from_duration(self.duration), fired);
            self.source = Some(source.expect("a timer"));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(source) = self.source.filter(|_| !self.has_fired.get()) {
            self.handle.remove(source);
        }
    }
}

impl Timers for Calloop {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        Sleep { handle: self.handle.clone(), duration, has_fired: Rc::default(), source: None }
    }

    fn spawn_sleeper(&self, duration: Duration, latch: Latch) {
        let sleep = self.sleep(duration);
        self.spawn_local(async move {
            sleep.await;
            latch.count_down();
        });
    }
}

async fn read(end: &mut Async<'static, UnixStream>) {
    // The byte first, then the wait: as the other runtimes do it.
    while end.get_mut().read(&mut [0]).is_err() {
        end.readable().await;
    }
}

fn write(end: &mut Async<'static, UnixStream>) {
    let written = end.get_mut().write(&[0]);
    assert_eq!(written.expect("a socket"), 1);
}

impl Sockets for Calloop {
    fn spawn_ping_pong(&self, ends: (UnixStream, UnixStream), rounds: usize, latch: Latch) {
        let mut ping = self.handle.adapt_io(ends.0).expect("a socket");
        let mut pong = self.handle.adapt_io(ends.1).expect("a socket");
        self.spawn_local(async move {
            for _ in 0..rounds {
                write(&mut ping);
                read(&mut ping).await;
            }
            latch.count_down();
        });
        self.spawn_local(async move {
            for _ in 0..rounds {
                read(&mut pong).await;
                write(&mut pong);
            }
        });
    }
}

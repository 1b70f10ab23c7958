//! qtloop on its native host.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use qtloop::qt::QtHost;
use qtloop::{EventLoop, net, sleep};

use super::dispatcher;
use crate::latch::Latch;
use crate::runtime::{Joins, Runtime, Sockets, Timers};

/// The loop, in Qt's. Needs a `QCoreApplication`.
#[derive(Clone)]
pub struct Qtloop(Rc<EventLoop<QtHost>>);

impl Default for Qtloop {
    fn default() -> Qtloop {
        Qtloop(Rc::new(EventLoop::new(QtHost::new()).expect("a loop")))
    }
}

impl Runtime for Qtloop {
    fn name(&self) -> String {
        format!("qtloop ({})", dispatcher())
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        self.0.block_on(main).expect("an output")
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        self.0.spawn_local(future).detach();
    }
}

impl Joins for Qtloop {
    fn spawn_to_join<F: Future<Output = ()> + Send + 'static>(
        &self,
        future: F,
    ) -> impl Future<Output = ()> + 'static {
        self.0.spawn_local(future).map(|outcome| outcome.expect("a task that ends"))
    }
}

impl Timers for Qtloop {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        sleep(duration)
    }

    fn spawn_sleeper(&self, duration: Duration, latch: Latch) {
        self.0.spawn_local(sleep(duration).map(move |()| latch.count_down())).detach();
    }
}

async fn ping(mut end: net::UnixStream, rounds: usize, latch: Latch) {
    for _ in 0..rounds {
        end.write_all(&[0]).await.expect("a socket");
        end.read_exact(&mut [0]).await.expect("an answer");
    }
    latch.count_down();
}

async fn pong(mut end: net::UnixStream, rounds: usize) {
    for _ in 0..rounds {
        end.read_exact(&mut [0]).await.expect("a question");
        end.write_all(&[0]).await.expect("a socket");
    }
}

impl Sockets for Qtloop {
    fn spawn_ping_pong(&self, ends: (UnixStream, UnixStream), rounds: usize, latch: Latch) {
        let adopt = |end| net::UnixStream::new(end).expect("a socket");
        self.0.spawn_local(ping(adopt(ends.0), rounds, latch)).detach();
        self.0.spawn_local(pong(adopt(ends.1), rounds)).detach();
    }
}

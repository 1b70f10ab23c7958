//! tokio's current-thread runtime, with a `LocalSet` and without.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;

use crate::latch::Latch;
use crate::runtime::{Joins, Runtime, Sockets, Timers};

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn adopt(end: UnixStream) -> tokio::net::UnixStream {
    end.set_nonblocking(true).expect("a socket");
    tokio::net::UnixStream::from_std(end).expect("a runtime")
}

async fn ping(end: UnixStream, rounds: usize, latch: Latch) {
    let (mut end, mut byte) = (adopt(end), [0]);
    for _ in 0..rounds {
        end.write_all(&byte).await.expect("a socket");
        end.read_exact(&mut byte).await.expect("an answer");
    }
    latch.count_down();
}

async fn pong(end: UnixStream, rounds: usize) {
    let (mut end, mut byte) = (adopt(end), [0]);
    for _ in 0..rounds {
        end.read_exact(&mut byte).await.expect("a question");
        end.write_all(&byte).await.expect("a socket");
    }
}

/// `spawn_local` on a `LocalSet`.
#[derive(Clone)]
pub struct TokioLocal {
    runtime: Rc<tokio::runtime::Runtime>,
    tasks: Rc<LocalSet>,
}

impl Default for TokioLocal {
    fn default() -> TokioLocal {
        TokioLocal { runtime: Rc::new(current_thread()), tasks: Rc::default() }
    }
}

impl Runtime for TokioLocal {
    fn name(&self) -> String {
        "tokio LocalSet".into()
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        self.tasks.block_on(&self.runtime, main)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Joins for TokioLocal {
    fn spawn_to_join<F: Future<Output = ()> + Send + 'static>(
        &self,
        future: F,
    ) -> impl Future<Output = ()> + 'static {
        tokio::task::spawn_local(future).map(|outcome| outcome.expect("a task that ends"))
    }
}

impl Timers for TokioLocal {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn spawn_sleeper(&self, duration: Duration, latch: Latch) {
        self.spawn(tokio::time::sleep(duration).map(move |()| latch.count_down()));
    }
}

impl Sockets for TokioLocal {
    fn spawn_ping_pong(&self, ends: (UnixStream, UnixStream), rounds: usize, latch: Latch) {
        self.spawn(ping(ends.0, rounds, latch));
        self.spawn(pong(ends.1, rounds));
    }
}

/// `tokio::spawn`.
#[derive(Clone)]
pub struct TokioShared(Rc<tokio::runtime::Runtime>);

impl Default for TokioShared {
    fn default() -> TokioShared {
        TokioShared(Rc::new(current_thread()))
    }
}

impl Runtime for TokioShared {
    fn name(&self) -> String {
        "tokio".into()
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        self.0.block_on(main)
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        tokio::spawn(future);
    }
}

impl Joins for TokioShared {
    fn spawn_to_join<F: Future<Output = ()> + Send + 'static>(
        &self,
        future: F,
    ) -> impl Future<Output = ()> + 'static {
        tokio::spawn(future).map(|outcome| outcome.expect("a task that ends"))
    }
}

impl Timers for TokioShared {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn spawn_sleeper(&self, duration: Duration, latch: Latch) {
        self.spawn(tokio::time::sleep(duration).map(move |()| latch.count_down()));
    }
}

impl Sockets for TokioShared {
    fn spawn_ping_pong(&self, ends: (UnixStream, UnixStream), rounds: usize, latch: Latch) {
        self.spawn(ping(ends.0, rounds, latch));
        self.spawn(pong(ends.1, rounds));
    }
}

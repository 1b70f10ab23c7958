//! How a workload waits until its tasks are done, on any runtime.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;

/// Opens when it was counted down to zero. The same for every runtime, since not each has handles
/// of tasks.
#[derive(Clone)]
pub struct Latch(Arc<Count>);

struct Count {
    left: AtomicUsize,
    waiting: AtomicWaker,
}

impl Latch {
    /// A latch that opens after so many calls of [`count_down`](Latch::count_down).
    pub fn new(count: usize) -> Latch {
        Latch(Arc::new(Count { left: AtomicUsize::new(count), waiting: AtomicWaker::new() }))
    }

    /// One less to wait for. From any thread.
    pub fn count_down(&self) {
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.waiting.wake();
        }
    }

    /// Waits until the latch is open.
    pub async fn wait(&self) {
        poll_fn(|context| {
            self.0.waiting.register(context.waker());
            if self.0.left.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

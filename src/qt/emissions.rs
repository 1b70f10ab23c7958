//! A signal's emissions, to be awaited: by any executor on the thread, for all that is kept here of
//! it is a waker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::ffi::c_void;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::future::{Future, FutureExt};
use futures::stream::{FusedStream, Stream};
use futures::task::AtomicWaker;

use super::signal::{Connection, Emission, NoSuchSignal, connect};
use super::value::Value;

/// A signal's emissions from the moment this is made: a stream of their arguments. It ends when the
/// sender is destroyed, after what was emitted before. Dropping it disconnects. It belongs to the
/// thread that made it.
///
/// ```
/// use futures::{FutureExt, StreamExt};
/// use qtloop::qt::{Emissions, Object, Value};
///
/// let object = Object::new();
/// // SAFETY: the object lives, on this thread.
/// let emissions = unsafe { Emissions::new(object.as_ptr(), "objectNameChanged") }?;
/// object.set_object_name("a");
/// drop(object);
/// let all: Vec<_> = emissions.collect().now_or_never().expect("the sender is gone");
/// assert_eq!(all, [[Value::String("a".into())]]);
/// # Ok::<(), qtloop::qt::NoSuchSignal>(())
/// ```
pub struct Emissions {
    buffer: Rc<Buffer>,
    _connection: Connection,
}

/// What was emitted and not taken yet.
struct Buffer {
    emissions: RefCell<VecDeque<Vec<Value>>>,
    capacity: usize,
    lost: Cell<u64>,
    ended: Cell<bool>,
    waker: AtomicWaker,
}

/// The buffer's end in the connection, which drops it when no more emissions come.
struct Feed(Rc<Buffer>);

impl Emissions {
    /// The emissions of `signal`, named as for [`connect`]. All are kept until they are taken.
    ///
    /// # Errors
    /// If the object has no such signal.
    ///
    /// # Safety
    /// `sender` points to a living `QObject` of the calling thread.
    pub unsafe fn new(sender: *mut c_void, signal: &str) -> Result<Emissions, NoSuchSignal> {
        // SAFETY: the caller's promise.
        unsafe { Emissions::with_capacity(sender, signal, usize::MAX) }
    }

    /// As [`new`](Emissions::new), but at most `capacity` emissions are kept, and at least one.
    /// When there is no room the oldest is dropped; [`lost`](Emissions::lost) counts it.
    ///
    /// # Errors
    /// If the object has no such signal.
    ///
    /// # Safety
    /// `sender` points to a living `QObject` of the calling thread.
    pub unsafe fn with_capacity(
        sender: *mut c_void,
        signal: &str,
        capacity: usize,
    ) -> Result<Emissions, NoSuchSignal> {
        let buffer = Rc::new(Buffer {
            emissions: RefCell::default(),
            capacity: capacity.max(1),
            lost: Cell::new(0),
            ended: Cell::new(false),
            waker: AtomicWaker::new(),
        });
        let feed = Feed(Rc::clone(&buffer));
        let on = move |emission| {
            if let Emission::Values(values) = emission {
                feed.push(values);
            }
        };
        // SAFETY: the caller's promise.
        let connection = unsafe { connect(sender, signal, on) }?;
        Ok(Emissions { buffer, _connection: connection })
    }

    /// How many emissions were dropped for want of room.
    pub fn lost(&self) -> u64 {
        self.buffer.lost.get()
    }
}

impl Feed {
    fn push(&self, values: Vec<Value>) {
        let buffer = &self.0;
        let mut emissions = buffer.emissions.borrow_mut();
        if emissions.len() == buffer.capacity {
            emissions.pop_front();
            buffer.lost.set(buffer.lost.get() + 1);
        }
        emissions.push_back(values);
        drop(emissions);
        buffer.waker.wake();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.ended.set(true);
        self.0.waker.wake();
    }
}

impl Drop for Emissions {
    fn drop(&mut self) {
        // Disconnecting ends the buffer, which is nobody's concern any more.
        drop(self.buffer.waker.take());
    }
}

impl Stream for Emissions {
    type Item = Vec<Value>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<Value>>> {
        let next = self.buffer.emissions.borrow_mut().pop_front();
        if next.is_some() || self.buffer.ended.get() {
            return Poll::Ready(next);
        }
        self.buffer.waker.register(context.waker());
        Poll::Pending
    }
}

impl FusedStream for Emissions {
    fn is_terminated(&self) -> bool {
        self.buffer.ended.get() && self.buffer.emissions.borrow().is_empty()
    }
}

/// The sender was destroyed before it emitted the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderDestroyed;

impl fmt::Display for SenderDestroyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object was destroyed before it emitted the signal")
    }
}

impl Error for SenderDestroyed {}

/// The arguments of a signal's next emission; made by [`emitted`]. Dropping it disconnects. Once
/// ready, it must not be polled again.
pub struct Emitted {
    next: oneshot::Receiver<Vec<Value>>,
    _connection: Connection,
}

/// Waits for the next emission of `signal`, named as for [`connect`], beginning now: one that comes
/// before the future is polled counts.
///
/// # Errors
/// If the object has no such signal. The future's own error is [`SenderDestroyed`].
///
/// # Safety
/// `sender` points to a living `QObject` of the calling thread.
pub unsafe fn emitted(sender: *mut c_void, signal: &str) -> Result<Emitted, NoSuchSignal> {
    let (feed, next) = oneshot::channel();
    let mut feed = Some(feed);
    let on = move |emission| {
        // Destruction drops the sending half.
        if let (Emission::Values(values), Some(feed)) = (emission, feed.take()) {
            // It can only fail if the future is gone, which disconnects.
            let _sent = feed.send(values);
        }
    };
    // SAFETY: the caller's promise.
    let connection = unsafe { connect(sender, signal, on) }?;
    Ok(Emitted { next, _connection: connection })
}

impl Future for Emitted {
    type Output = Result<Vec<Value>, SenderDestroyed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.next.poll_unpin(context).map_err(|_| SenderDestroyed)
    }
}

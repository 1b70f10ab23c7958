//! A loop of Rust futures, on any host.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;

use super::cell::join::JoinHandle;
use super::current::Entered;
use super::executor::Executor;
use super::foreign::job::Job;
use super::handle::{Handle, LocalHandle};
use super::scheduler::{Scheduler, Sender};
use crate::core::{Phase, Refused, Time};
use crate::driver::{Client, Counters, Driver, Ended, RunError, Strategy};
use crate::host::{Exec, Host};

/// Runs jobs. A Rust loop schedules nothing else.
#[derive(Default)]
struct Jobs {
    /// The loop's executor. It holds the driver, which holds this.
    executor: RefCell<Weak<Executor>>,
}

impl Client for Jobs {
    type Item = Job;
    type Suspended = Entered;

    fn run(&self, job: Job) -> ControlFlow<()> {
        job.run();
        ControlFlow::Continue(())
    }

    fn suspend(&self) -> Entered {
        let executor = self.executor.borrow().upgrade();
        executor.map(|executor| executor.enter()).unwrap_or_default()
    }

    fn share(&self, job: &Job) -> Option<Job> {
        job.share()
    }
}

/// An event loop that runs futures on the thread that made it, inside the run loop of `H`.
///
/// ```
/// use std::time::Duration;
/// use qtloop::{EventLoop, sleep, spawn_local};
/// use qtloop::host::sim::SimHost;
///
/// let event_loop = EventLoop::new(SimHost::scripted())?;
/// let answer = event_loop.block_on(async {
///     let task = spawn_local(async {
///         sleep(Duration::from_secs(3600)).await;
///         42
///     });
///     task.await
/// })?;
/// assert_eq!(answer?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventLoop<H: Host + 'static> {
    driver: Rc<Driver<H, Jobs>>,
    executor: Rc<Executor>,
}

impl<H: Host + 'static> EventLoop<H> {
    /// A loop that watches all file descriptors by one set of the system: epoll on Linux, kqueue on
    /// macOS and the BSDs.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new(host: H) -> io::Result<EventLoop<H>> {
        EventLoop::with_strategy(host, Strategy::default())
    }

    /// A loop that watches file descriptors in a given way. Scripted ones need
    /// [`Strategy::Notifier`].
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn with_strategy(host: H, strategy: Strategy) -> io::Result<EventLoop<H>> {
        let driver = Rc::new(Driver::new(host, Jobs::default(), strategy)?);
        let sender: Arc<dyn Sender> = Arc::clone(driver.remote()) as _;
        let executor = Executor::new(Rc::clone(&driver) as Rc<dyn Scheduler>, sender);
        driver.client().executor.replace(Rc::downgrade(&executor));
        Ok(EventLoop { driver, executor })
    }

    /// The host.
    pub fn host(&self) -> &H {
        self.driver.host()
    }

    /// The time on the host's clock.
    pub fn now(&self) -> Time {
        self.driver.now()
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.driver.counters()
    }

    /// Sets how long tasks may run before the host gets its own turn.
    pub fn set_slice(&self, slice: Duration) {
        self.driver.set_slice(slice);
    }

    /// A handle for this thread.
    pub fn local(&self) -> LocalHandle {
        LocalHandle::new(Rc::clone(&self.executor))
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.local().handle()
    }

    /// As [`LocalHandle::spawn_local`]. The task first runs when the loop does.
    pub fn spawn_local<F: Future<Output: 'static> + 'static>(
        &self,
        future: F,
    ) -> JoinHandle<F::Output> {
        self.executor.spawn(future)
    }

    /// Runs the loop until `future` is done, and gives its output. Other tasks run meanwhile; they
    /// go on in the next run if they are not done.
    ///
    /// # Errors
    /// If the loop cannot run, and if it is stopped or its host quits before the future is done.
    /// Then the future is dropped.
    ///
    /// # Panics
    /// If the future panics.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnError> {
        let outcome = Cell::new(None);
        let main = pin!(async {
            outcome.set(Some(AssertUnwindSafe(future).catch_unwind().await));
            self.stop();
        });
        let lent = Lent::new(main);
        let _task = self.executor.spawn(lent.borrower());
        let ended = self.run();
        drop(lent);
        match outcome.take() {
            Some(Ok(output)) => Ok(output),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(match ended.map_err(BlockOnError::Run)? {
                Ended::Stopped => BlockOnError::Stopped,
                Ended::HostQuit(code) => BlockOnError::Quit(code),
            }),
        }
    }

    /// Runs the loop until it is stopped or the host's loop is ended from outside: the application
    /// quits.
    ///
    /// # Errors
    /// If the loop runs already, or the host cannot run.
    pub fn run(&self) -> Result<Ended, RunError> {
        let _entered = self.executor.enter();
        let ended = self.driver.run(Exec::Application);
        if matches!(ended, Ok(Ended::HostQuit(_))) {
            // The caller's next run is another one. It does not stop because this one was to.
            self.driver.set_stopping(false);
        }
        ended
    }

    /// Lets tasks run in a loop of the host's kind that somebody else runs on this thread, now or
    /// later: `QCoreApplication::exec()`, a `QEventLoop`. Stopping this loop ends that one.
    ///
    /// # Errors
    /// If the loop runs already, or this thread has no run loop to offer.
    pub fn attach(&self) -> Result<Attachment<'_, H>, RunError> {
        self.driver.attach()?;
        Ok(Attachment { event_loop: self, _entered: self.executor.enter() })
    }

    /// Asks the run to end when the iteration under way is done.
    pub fn stop(&self) {
        self.driver.set_stopping(true);
    }
}

impl<H: Host + 'static> fmt::Debug for EventLoop<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("host", &self.host().name()).finish_non_exhaustive()
    }
}

impl<H: Host + 'static> Drop for EventLoop<H> {
    /// Closes the loop. Drops every task and everything else that is scheduled.
    fn drop(&mut self) {
        // If it was attached and the attachment was forgotten, it is detached now.
        if self.driver.detach().is_err() || self.driver.phase() == Phase::Running {
            // Its tasks are on the stack. A program without `unsafe` cannot cause that. To leak it
            // is better than to free it.
            mem::forget(Rc::clone(&self.driver));
            return;
        }
        self.executor.begin_close();
        let scheduled = self.driver.close();
        drop(scheduled);
        self.executor.close();
    }
}

/// A loop whose tasks run inside somebody else's loop. It ends when this is dropped.
#[must_use = "dropping it detaches the loop"]
pub struct Attachment<'l, H: Host + 'static> {
    event_loop: &'l EventLoop<H>,
    _entered: Entered,
}

impl<H: Host + 'static> Attachment<'_, H> {
    /// Detaches the loop.
    ///
    /// # Errors
    /// If a task of the loop is on the stack. Then the loop stays attached for good.
    pub fn detach(self) -> Result<(), Refused> {
        self.event_loop.driver.detach()
    }
}

impl<H: Host + 'static> Drop for Attachment<'_, H> {
    fn drop(&mut self) {
        let _refused = self.event_loop.driver.detach();
    }
}

/// Why [`EventLoop::block_on`] has no output.
#[derive(Debug)]
pub enum BlockOnError {
    /// The loop could not run.
    Run(RunError),
    /// The loop was stopped before the future was done.
    Stopped,
    /// The application quit before the future was done, with this exit code.
    Quit(i32),
}

impl fmt::Display for BlockOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockOnError::Run(error) => error.fmt(f),
            BlockOnError::Stopped => {
                f.write_str("the event loop was stopped before the future was done")
            }
            BlockOnError::Quit(code) => {
                write!(f, "the application quit with code {code} before the future was done")
            }
        }
    }
}

impl Error for BlockOnError {}

/// The future that is lent.
type Task<'a> = dyn Future<Output = ()> + 'a;

/// A future on the stack, lent to a task until this is dropped.
struct Lent<'a> {
    future: Rc<Cell<Option<NonNull<dyn Future<Output = ()>>>>>,
    borrow: PhantomData<Pin<&'a mut dyn Future<Output = ()>>>,
}

impl<'a> Lent<'a> {
    fn new(future: Pin<&'a mut Task<'a>>) -> Lent<'a> {
        // SAFETY: the future is not moved: it is polled through the pointer, pinned.
        let future = NonNull::from(unsafe { future.get_unchecked_mut() });
        // SAFETY: the same pointer; what the type forgets, `borrow` keeps in mind.
        let future = unsafe { mem::transmute::<NonNull<Task<'a>>, NonNull<Task<'static>>>(future) };
        Lent { future: Rc::new(Cell::new(Some(future))), borrow: PhantomData }
    }

    /// A future that polls the lent one, and ends when that is lent no more.
    fn borrower(&self) -> impl Future<Output = ()> + use<> {
        let lent = Rc::clone(&self.future);
        poll_fn(move |context| match lent.get() {
            // SAFETY: it is still lent, so nobody else refers to it. It cannot be taken back
            // meanwhile: its owner is further up this stack, waiting for the run in which it is
            // polled. A task is not polled twice at a time.
            Some(mut future) => unsafe { Pin::new_unchecked(future.as_mut()) }.poll(context),
            None => Poll::Ready(()),
        })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.future.set(None);
    }
}

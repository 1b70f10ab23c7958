//! One turn: an event of the host comes in, the driver runs a batch of what is ready, and tells the
//! host what to wait for.
//!
//! The driver owns the core's structures and knows which of them the host must be told about. It
//! never holds a borrow while an item runs or a host is called: both may call the driver again, the
//! host with a nested turn.

mod brake;
mod counters;
mod fds;
mod pace;
mod remote;
#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;
mod turn;
#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod wake_model;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use self::brake::Brake;
pub use self::counters::{BUCKETS, Counters, Histogram};
pub use self::fds::Strategy;
pub use self::remote::Remote;

use self::counters::Counting;
use self::fds::Fds;
use self::pace::{LastLook, Pace};
use crate::core::{
    Direction, Fd, Interest, Phase, Ready, Refused, RunState, Time, TimerKey, Timers, Watches,
};
use crate::host::{EventSink, Exec, Host, HostError};

/// How long a turn may go on by default before the host gets its own turn. See docs/performance.md
/// for the measurement.
pub const DEFAULT_SLICE: Duration = Duration::from_micros(250);

/// The user of a driver: it runs the items and says what they are.
pub trait Client {
    /// What is scheduled. Dropping one may run any code.
    type Item: 'static;

    /// Runs the item. `Break` ends the run at once; what is still ready stays so for the next run.
    fn run(&self, item: Self::Item) -> ControlFlow<()>;

    /// What [`suspend`](Client::suspend) hands to [`resume`](Client::resume).
    type Suspended: Default;

    /// Puts aside what is under way further up the stack, because a turn begins. An item of ours
    /// may run a nested loop, and then turns nest.
    fn suspend(&self) -> Self::Suspended {
        Self::Suspended::default()
    }

    /// The turn is over: what was under way goes on.
    fn resume(&self, _suspended: Self::Suspended) {}

    /// Whether the item can run now. If not, it is put aside until an item further up the stack has
    /// ended. There must be such an item.
    fn admits(&self, _item: &Self::Item) -> bool {
        true
    }

    /// Handles what has interrupted the host's wait, before a turn begins. A Unix signal is an
    /// example. `Break` ends the run at once.
    fn interrupted(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Drops the item of a watch whose file is gone. The number by which the file was watched means
    /// another file now.
    fn forsake(&self, item: Self::Item) {
        drop(item);
    }

    /// Another reference to the item of an fd, to be queued because the fd is ready; `None` if
    /// nobody waits for it any more. Must not run foreign code.
    fn share(&self, item: &Self::Item) -> Option<Self::Item>;
}

/// Why [`Driver::run`] failed.
#[derive(Debug)]
pub enum RunError {
    /// The loop runs already, or is closed.
    Refused(Refused),
    /// The host cannot serve.
    Host(HostError),
    /// An fd cannot be watched.
    Io(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Refused(refused) => refused.fmt(f),
            RunError::Host(error) => error.fmt(f),
            RunError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// [`Driver::set_stopping`], or an item's `Break`.
    Stopped,
    /// The host's own loop was ended from outside, with this exit code: the application quits.
    ///
    /// A wish to stop that was not granted by then is kept for the next run, which has to finish
    /// what this one could not. [`Driver::set_stopping`] takes it back.
    HostQuit(i32),
}

/// The core's structures. They are borrowed only for moments.
struct Core<T> {
    ready: Ready<T>,
    timers: Timers<T>,
    watches: Watches<T>,
    state: RunState,
}

/// A loop: the core, which is driven by the events of `H` and runs the items of `C`.
pub struct Driver<H, C: Client> {
    host: H,
    client: C,
    core: RefCell<Core<C::Item>>,
    strategy: Strategy,
    fds: RefCell<Fds>,
    remote: Arc<Remote<C::Item>>,
    pace: Pace,
    last_look: Cell<LastLook>,
    slice: Cell<Duration>,
    /// How many items a slice has room for, as far as is known.
    breadth: Cell<usize>,
    /// Whether the host will report `Ready`. Also set while no run has started: the host need not
    /// be armed then.
    armed: Cell<bool>,
    /// The deadline that the host holds.
    deadline: Cell<Option<Time>>,
    /// What caused the last turn, if no event came since and its slice was spent.
    spent_by: Cell<Option<turn::Cause>>,
    /// Whether the clock is to be read before the next item runs, because a timer was made or a
    /// nested turn took its time.
    clock_is_stale: Cell<bool>,
    /// The thread that runs the loop.
    thread: Cell<usize>,
    /// The run is about to end. Events that still come are ignored.
    leaving: Cell<bool>,
    /// Somebody else runs the host's loop.
    attached: Cell<bool>,
    /// How many turns are on the stack.
    depth: Cell<u32>,
    /// The depth of the turns whose items were put aside; 0 if no items were.
    deferred_depth: Cell<u32>,
    /// Fds whose watch the host is to be told anew at the end of the next turn. Either they were
    /// ready when nothing could be done about it, or another thread has changed their watch.
    untold: RefCell<Vec<Fd>>,
    counters: Counting,
}

impl<H: Host, C: Client> Driver<H, C> {
    /// A loop that is idle.
    ///
    /// # Errors
    /// If the process has no fd left.
    pub fn new(host: H, client: C, strategy: Strategy) -> io::Result<Driver<H, C>> {
        let remote = Arc::new(Remote::new()?);
        let fds = Fds::new(strategy, &remote)?;
        let core = Core {
            ready: Ready::default(),
            timers: Timers::default(),
            watches: Watches::default(),
            state: RunState::default(),
        };
        Ok(Driver {
            host,
            client,
            core: RefCell::new(core),
            strategy,
            fds: RefCell::new(fds),
            remote,
            pace: Pace::default(),
            last_look: Cell::default(),
            slice: Cell::new(DEFAULT_SLICE),
            breadth: Cell::new(turn::FIRST_BREADTH),
            armed: Cell::new(true),
            deadline: Cell::new(None),
            spent_by: Cell::new(None),
            clock_is_stale: Cell::new(false),
            thread: Cell::new(0),
            leaving: Cell::new(false),
            attached: Cell::new(false),
            depth: Cell::new(0),
            deferred_depth: Cell::new(0),
            untold: RefCell::default(),
            counters: Counting::default(),
        })
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    /// The part of the loop that other threads use.
    pub fn remote(&self) -> &Arc<Remote<C::Item>> {
        &self.remote
    }

    /// The time on the host's clock.
    pub fn now(&self) -> Time {
        self.host.now()
    }

    /// How long a turn may go on.
    pub fn slice(&self) -> Duration {
        self.slice.get()
    }

    /// Sets how long a turn may go on.
    pub fn set_slice(&self, slice: Duration) {
        self.slice.set(slice);
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters.totals()
    }

    /// How fds are watched.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Queues `item` to run in the next batch.
    pub fn call_soon(&self, item: C::Item) {
        if self.remote.is_filled() {
            // What other threads sent before this call runs before it.
            self.take_inbox();
        }
        self.core.borrow_mut().ready.push(item);
        if !self.armed.get() {
            self.arm();
        }
    }

    /// Whether other threads send more than the loop runs, now that `waiting` items are in the
    /// inbox. Then the sender should let the loop run them, by [`Brake::wait`]. Always false in
    /// the loop's own thread, and while there are no turns.
    pub fn is_flooded(&self, waiting: usize) -> bool {
        let core = self.core.borrow();
        waiting + core.ready.sent() > self.breadth.get() * turn::FLOOD
            && core.state.phase() == Phase::Running
            && !self.is_loop_thread()
    }

    /// Queues `item` to run at `deadline` or as soon after as the host can.
    pub fn call_at(&self, deadline: Time, item: C::Item) -> TimerKey {
        let key = self.core.borrow_mut().timers.insert(deadline, item);
        self.clock_is_stale.set(true);
        // An armed host brings a turn. The turn sets the deadline once, for all timers made before
        // its end.
        if !self.armed.get() && self.deadline.get().is_none_or(|held| deadline < held) {
            self.set_deadline(Some(deadline));
        }
        key
    }

    /// Takes a timer back, if it has not fired.
    pub fn cancel(&self, key: TimerKey) -> Option<C::Item> {
        self.core.borrow_mut().timers.cancel(key)
    }

    /// Runs `item` whenever `fd` is ready for `direction`, and returns the item that did so before.
    ///
    /// # Errors
    /// If the fd cannot be watched; then nothing has changed.
    pub fn watch(
        &self,
        fd: Fd,
        direction: Direction,
        item: C::Item,
    ) -> io::Result<Option<C::Item>> {
        let others = self.interest(fd).without(direction);
        // The system is told even if nothing seems to change: the fd may have been closed, and its
        // number may mean another file.
        let is_same_file = self.change_watch(fd, others, direction.into())?;
        let (replaced, forsaken) = {
            let watches = &mut self.core.borrow_mut().watches;
            let forsaken = if is_same_file { None } else { watches.remove(fd, direction.other()) };
            (watches.insert(fd, direction, item), forsaken)
        };
        if let Some(forsaken) = forsaken {
            self.client.forsake(forsaken);
        }
        Ok(replaced)
    }

    /// Ends a watch and returns its item.
    pub fn unwatch(&self, fd: Fd, direction: Direction) -> Option<C::Item> {
        let before = self.core.borrow().watches.interest(fd);
        if !before.has(direction) {
            return None;
        }
        // A closed fd has left the set by itself. To end a watch does not fail.
        let _ended = self.change_watch(fd, before.without(direction), Interest::NONE);
        self.core.borrow_mut().watches.remove(fd, direction)
    }

    /// As [`unwatch`](Driver::unwatch), but only if `is_it` recognises the item that watches now.
    /// The number may mean another file by now, which somebody else watches.
    pub fn unwatch_if(
        &self,
        fd: Fd,
        direction: Direction,
        is_it: impl FnOnce(&C::Item) -> bool,
    ) -> Option<C::Item> {
        if self.is_watched_by(fd, direction, is_it) { self.unwatch(fd, direction) } else { None }
    }

    /// As [`watch`](Driver::watch), for something that waits until `fd` is ready once. `item` must
    /// end its watch, by [`expect_no_more`](Driver::expect_no_more), when it runs. To wait for the
    /// same fd again and again is cheap.
    ///
    /// # Errors
    /// As [`watch`](Driver::watch).
    pub fn expect(
        &self,
        fd: Fd,
        direction: Direction,
        item: C::Item,
    ) -> io::Result<Option<C::Item>> {
        let before = self.core.borrow().watches.interest(fd);
        if !before.without(direction).is_none() {
            return self.watch(fd, direction, item);
        }
        let is_hosts_task = self.fds.borrow_mut().expect(fd, direction)?;
        if is_hosts_task {
            self.tell_host(fd, direction.into())?;
        }
        Ok(self.core.borrow_mut().watches.insert(fd, direction, item))
    }

    /// Ends what [`expect`](Driver::expect) began, if `is_it` recognises the item that watches now.
    pub fn expect_no_more(
        &self,
        fd: Fd,
        direction: Direction,
        is_it: impl FnOnce(&C::Item) -> bool,
    ) -> Option<C::Item> {
        if !self.is_watched_by(fd, direction, is_it) {
            return None;
        }
        let after = self.interest(fd).without(direction);
        if after.is_none() && self.fds.borrow().may_linger() {
            return self.core.borrow_mut().watches.remove(fd, direction);
        }
        self.unwatch(fd, direction)
    }

    /// Whether `is_it` recognises the item that watches `fd` now. The number may mean another file
    /// by now.
    pub fn is_watched_by(
        &self,
        fd: Fd,
        direction: Direction,
        is_it: impl FnOnce(&C::Item) -> bool,
    ) -> bool {
        self.core.borrow().watches.get(fd, direction).is_some_and(is_it)
    }

    /// What the fd is watched for.
    pub fn interest(&self, fd: Fd) -> Interest {
        self.core.borrow().watches.interest(fd)
    }

    /// Asks the run to end when the iteration under way is done, or takes that request back.
    pub fn set_stopping(&self, stopping: bool) {
        self.core.borrow_mut().state.set_stopping(stopping);
        if stopping && !self.armed.get() {
            self.arm();
        }
    }

    /// Whether the run is to end.
    pub fn is_stopping(&self) -> bool {
        self.core.borrow().state.is_stopping()
    }

    /// What the loop is doing.
    pub fn phase(&self) -> Phase {
        self.core.borrow().state.phase()
    }

    /// Closes the loop and its own fds. Returns everything that was scheduled, for the caller to
    /// drop.
    ///
    /// # Errors
    /// If the loop runs.
    pub fn close(&self) -> Result<Vec<C::Item>, Refused> {
        let mut core = self.core.borrow_mut();
        core.state.close()?;
        self.fds.take();
        self.remote.wake_fd().close();
        let mut items: Vec<_> = core.ready.take_all().into();
        items.extend(core.timers.take_all());
        items.extend(core.watches.take_all());
        items.extend(self.remote.take_all());
        Ok(items)
    }

    /// Drops what other threads have sent since the loop was closed. It is never run.
    pub fn discard_sent(&self) {
        debug_assert_eq!(self.phase(), Phase::Closed);
        drop(self.remote.take_all());
    }

    /// Shows every scheduled item to `visit`: for a garbage collector.
    pub fn visit<E>(&self, mut visit: impl FnMut(&C::Item) -> Result<(), E>) -> Result<(), E> {
        // The collector may come in the middle of a change. What it cannot see then is only not
        // freed now.
        let Ok(core) = self.core.try_borrow() else { return Ok(()) };
        core.ready
            .iter()
            .chain(core.timers.iter())
            .chain(core.watches.items())
            .try_for_each(&mut visit)?;
        self.remote.visit(visit)
    }

    /// Every watched fd with `share`d references to its reader and its writer.
    pub fn watched<S>(&self, share: impl Fn(&C::Item) -> S) -> Vec<(Fd, Option<S>, Option<S>)> {
        let core = self.core.borrow();
        let side = |fd, direction| core.watches.get(fd, direction).map(&share);
        core.watches
            .iter()
            .map(|(fd, _)| (fd, side(fd, Direction::Read), side(fd, Direction::Write)))
            .collect()
    }

    /// `share`d references to what is ready, in order, and to the timers' items, in no order.
    pub fn queued<S>(&self, share: impl Fn(&C::Item) -> S) -> (Vec<S>, Vec<S>) {
        if self.remote.is_filled() {
            self.take_inbox();
        }
        let core = self.core.borrow();
        (core.ready.iter().map(&share).collect(), core.timers.iter().map(&share).collect())
    }

    /// How many items are ready and how many timers can still fire.
    pub fn pending(&self) -> (usize, usize) {
        let core = self.core.borrow();
        (core.ready.len(), core.timers.len())
    }

    /// How many fds are watched.
    pub fn watched_fds(&self) -> usize {
        self.core.borrow().watches.len()
    }

    /// Tells the host about everything that is scheduled. From now on turns come.
    fn begin(&self) -> Result<(), RunError> {
        self.leaving.set(false);
        self.spent_by.set(None);
        self.untold.take();
        self.thread.set(this_thread());
        self.deadline.set(None);
        let watches = self
            .fds
            .borrow_mut()
            .start(&self.remote, &self.core.borrow().watches)
            .map_err(RunError::Io)?;
        for (fd, interest) in watches {
            self.host.watch(fd, interest).map_err(RunError::Io)?;
        }
        self.armed.set(false);
        self.remote.wake_fd().may_sleep();
        self.rearm();
        Ok(())
    }

    /// Takes everything back from the host.
    fn end(&self) {
        self.host.stop();
        self.fds.borrow_mut().stop();
        self.deadline.set(None);
        self.armed.set(true);
        self.remote.wake_fd().is_awake();
        let mut core = self.core.borrow_mut();
        core.ready.end_iteration();
        core.state.end();
    }

    /// Watches `fd` for what is `kept` and what is `added`. Returns whether the number still means
    /// the file that it was watched for. If not, only what is `added` is watched now.
    fn change_watch(&self, fd: Fd, kept: Interest, added: Interest) -> io::Result<bool> {
        let changed = self.fds.borrow_mut().change(fd, kept, added)?;
        if changed.is_hosts_task {
            self.tell_host(fd, kept | added)?;
        }
        Ok(changed.is_same_file)
    }

    /// Tells the host what to watch `fd` for. In another thread it wakes the loop's own thread,
    /// which tells the host at the end of its turn.
    fn tell_host(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        if self.is_loop_thread() {
            return self.host.watch(fd, interest);
        }
        self.untold.borrow_mut().push(fd);
        self.remote.wake();
        Ok(())
    }

    fn arm(&self) {
        if !self.is_loop_thread() {
            return self.remote.wake();
        }
        self.armed.set(true);
        // A turn will come, also in a nested loop, and look at the inbox. Other threads need not
        // wake the loop.
        self.remote.wake_fd().is_awake();
        self.host.arm();
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        if !self.is_loop_thread() {
            return self.remote.wake();
        }
        self.deadline.set(deadline);
        self.host.set_deadline(deadline);
    }

    /// Whether this is the thread that runs the loop. Only that thread may touch the host. A call
    /// from another thread is a mistake of the program; it wakes the loop, which does the rest in
    /// its turn.
    pub(crate) fn is_loop_thread(&self) -> bool {
        self.thread.get() == this_thread()
    }
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// A run that has started. It ends when this is dropped, also by a panic.
struct Run<'a, H: Host, C: Client>(&'a Driver<H, C>);

impl<H: Host, C: Client> Drop for Run<'_, H, C> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<H: Host + 'static, C: Client + 'static> Driver<H, C> {
    /// Runs the loop on the calling thread until it is stopped, or until the host's loop is ended
    /// from outside.
    ///
    /// # Errors
    /// If the loop runs already or is closed, or the host cannot run.
    pub fn run(self: &Rc<Self>, exec: Exec) -> Result<Ended, RunError> {
        self.start()?;
        let run = Run(self);
        let outcome = self.host.run(exec).map_err(RunError::Host);
        let is_left_to_stop = !self.leaving.get() && outcome.is_ok() && self.is_stopping();
        drop(run);
        if is_left_to_stop {
            self.set_stopping(true);
        }
        outcome.map(|code| if self.leaving.get() { Ended::Stopped } else { Ended::HostQuit(code) })
    }

    /// Accepts turns from a loop of the host's kind that somebody else runs on this thread, now or
    /// later.
    ///
    /// Whatever would end a run ends that loop.
    ///
    /// # Errors
    /// If the loop runs already or is closed, or this thread has no run loop to offer.
    pub fn attach(self: &Rc<Self>) -> Result<(), RunError> {
        self.start()?;
        self.attached.set(true);
        Ok(())
    }

    /// Ends what [`attach`](Driver::attach) began. Call it on the thread that attached.
    ///
    /// # Errors
    /// If a turn is on the stack.
    pub fn detach(&self) -> Result<(), Refused> {
        if self.depth.get() > 0 {
            return Err(Refused::Busy);
        }
        if self.attached.replace(false) {
            self.end();
        }
        Ok(())
    }

    /// Hands everything that is scheduled to the host.
    fn start(self: &Rc<Self>) -> Result<(), RunError> {
        self.core.borrow_mut().state.begin().map_err(RunError::Refused)?;
        let sink: Rc<dyn EventSink> = Rc::clone(self) as Rc<dyn EventSink>;
        let outcome = self.host.start(sink).map_err(RunError::Host).and_then(|()| self.begin());
        outcome.inspect_err(|_| self.end())
    }
}

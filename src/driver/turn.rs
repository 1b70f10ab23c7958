//! A turn: from a host's event to the next time the host waits.

use std::ops::ControlFlow;

use super::{Client, Core, Driver};
use crate::core::{Direction, Interest, Phase, Time};
use crate::host::{Event, EventSink, Host};

/// The most batches in a turn. No slice has room for more, unless the clock is simulated and stands
/// still.
const MAX_BATCHES: u32 = 10_000;

// The next constants are bounds, and do not affect speed. Halving or doubling `MIN_BREADTH`,
// `MAX_BREADTH` and `MIN_BATCH` changes neither the number of turns nor the number of looks in the
// rows of `make bench`.

/// How many items of other threads may always wait, even if a slice has room for fewer.
const MIN_BREADTH: usize = 16;

/// How many items of other threads may wait as long as the room of a slice is not known.
pub(super) const FIRST_BREADTH: usize = 64;

/// How many items of other threads may wait at most, even if a slice has room for more.
const MAX_BREADTH: usize = 1024;

/// The breadth divided by this number counts as few items. When only that many are left, threads
/// that wait for the loop may send again.
const REST: usize = 8;

/// The breadth multiplied by this number is a flood. When that many items wait, a thread that sends
/// has to wait. It holds the GIL for about this number of slices.
pub(super) const FLOOD: usize = 2;

/// How many items of other threads one batch has at least, even if a slice has room for fewer. So
/// asyncio's iteration is not cut without need.
const MIN_BATCH: usize = 64;

/// The most turns on the stack. A thousand tasks that each call `processEvents` would otherwise put
/// a thousand turns on the stack, and exhaust it. So the deepest turn lets only the host's own
/// events through, and the stack unwinds.
pub const MAX_DEPTH: u32 = 100;

impl<H: Host, C: Client> EventSink for Driver<H, C> {
    fn event(&self, event: Event) {
        if self.leaving.get() || self.depth.get() == MAX_DEPTH {
            return self.ignore(event);
        }
        if self.client.interrupted().is_break() {
            self.ignore(event);
            return self.leave();
        }
        let cause = Cause::from(&event);
        let spent_by = self.spent_by.take();
        match event {
            // A host that has fired is armed again at once, for nested loops. A turn in one of them
            // then sets the deadline too. The host is disarmed at the end of the turn if nothing is
            // ready. An fd is still watched; `begin_batch` and `call_soon` see to the rest.
            Event::Ready => {
                self.arm();
                if spent_by == Some(Cause::Fd) {
                    return self.rearm();
                }
            }
            Event::Deadline => {
                self.deadline.set(None);
                self.arm();
            }
            Event::Fd(fd, readiness) => {
                let batch_is_done = self.core.borrow().ready.batch_is_done();
                self.fds.borrow_mut().note(fd, readiness, batch_is_done, &self.remote);
                if !self.armed.get() {
                    // The wake that caused this event is used up. Without a new one no other turn
                    // is certain to come in a nested loop.
                    self.remote.wake_fd().may_sleep();
                } else if spent_by.is_some() {
                    return self.rearm();
                }
            }
        }
        let _begun = Begun::new(self);
        self.turn(cause);
    }
}

/// What event has caused a turn.
///
/// A host may report an fd and `Ready` in one iteration of its own. If both caused a turn whose
/// slice is spent, the host's timers would have to wait for two slices. So after a turn that has
/// spent its slice, the next event of an fd causes none, and after one of an fd `Ready` causes
/// none. Nothing is lost: the loop is armed, and a host reports again until it is told otherwise.
/// Two events of `Ready` are never in one iteration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Ready,
    Deadline,
    Fd,
}

impl From<&Event> for Cause {
    fn from(event: &Event) -> Cause {
        match event {
            Event::Ready => Cause::Ready,
            Event::Deadline => Cause::Deadline,
            Event::Fd(..) => Cause::Fd,
        }
    }
}

/// A turn that is on the stack. When it is dropped, also by a panic, the suspended work goes on.
struct Begun<'a, H: Host, C: Client> {
    driver: &'a Driver<H, C>,
    suspended: Option<C::Suspended>,
}

impl<'a, H: Host, C: Client> Begun<'a, H, C> {
    fn new(driver: &'a Driver<H, C>) -> Self {
        let suspended = driver.client.suspend();
        driver.depth.update(|depth| depth + 1);
        Begun { driver, suspended: Some(suspended) }
    }
}

impl<H: Host, C: Client> Drop for Begun<'_, H, C> {
    fn drop(&mut self) {
        self.driver.depth.update(|depth| depth - 1);
        self.suspended
            .take()
            .into_iter()
            .for_each(|suspended| self.driver.client.resume(suspended));
        self.driver.clock_is_stale.set(true);
    }
}

/// An item that runs. When it is dropped, also by a panic, items that nested turns have put aside
/// can be queued again.
struct Running<'a, H: Host, C: Client>(&'a Driver<H, C>);

impl<H: Host, C: Client> Drop for Running<'_, H, C> {
    fn drop(&mut self) {
        let driver = self.0;
        if driver.deferred_depth.get() > driver.depth.get() {
            // Some of these items can run now. The others are put aside again, for an item further
            // up the stack.
            driver.deferred_depth.set(0);
            driver.core.borrow_mut().ready.recall();
        }
    }
}

/// How a batch ended.
enum Batch {
    Done,
    SliceSpent,
    Left,
}

impl<H: Host, C: Client> Driver<H, C> {
    pub(super) fn take_inbox(&self) {
        self.core.borrow_mut().ready.push_sent(self.remote.inbox());
    }

    /// Clears the flag, so that other threads wake the loop from now on. Then it takes the items
    /// that they sent while the loop counted as awake. The order matters: an item that came after
    /// the last look at the inbox, but before the flag was cleared, has woken nobody.
    fn expect_wakes(&self) {
        self.remote.wake_fd().may_sleep();
        if self.remote.is_filled() {
            self.take_inbox();
        }
    }

    /// Queues the items of the fds that are ready now. Returns whether there were any.
    fn take_fds(&self) -> bool {
        let (mut forsaken, mut lingering) = (Vec::new(), Vec::new());
        let mut core = self.core.borrow_mut();
        let Core { ready, watches, .. } = &mut *core;
        let mut fds = self.fds.borrow_mut();
        let may_linger = fds.may_linger();
        let found = fds.look(&self.remote, |fd, readiness| {
            for direction in [Direction::Read, Direction::Write] {
                let Some(item) = watches.get(fd, direction).filter(|_| readiness.has(direction))
                else {
                    continue;
                };
                match self.client.share(item) {
                    Some(item) => ready.find(item),
                    None => forsaken.push((fd, direction)),
                }
            }
            if may_linger && watches.interest(fd).is_none() {
                lingering.push(fd);
            }
        });
        drop((core, fds));
        if found.wake && !self.armed.get() {
            // The next batch may run a nested loop. Only a new wake is certain to cause a turn
            // there.
            self.expect_wakes();
        }
        let mut ghost = found.ghost;
        for fd in lingering {
            // An operation expected this fd once, and no operation has waited for it since. Or the
            // fd is a file that has lost its number.
            ghost |= !self.change_watch(fd, Interest::NONE, Interest::NONE).unwrap_or(true);
        }
        if ghost {
            // If the process has no fd left for a new set, the next look tries again.
            let _renewed = self.fds.borrow_mut().renew(&self.remote, &self.core.borrow().watches);
        }
        for (fd, direction) in forsaken {
            drop(self.unwatch(fd, direction));
        }
        found.any
    }

    /// Queues the timers that are due at `now`.
    fn take_timers(&self, now: Time) {
        let mut core = self.core.borrow_mut();
        while let Some((deadline, item)) = core.timers.pop_due(now) {
            self.counters.timer_fired(now.since(deadline));
            core.ready.find(item);
        }
    }

    /// Looks at every source of work. Then it makes one batch of all items that are ready, or of a
    /// part of them if they are a flood. Returns whether the batch has any items.
    ///
    /// The items that a look takes need no other bound: a look reports each fd once, and takes the
    /// timers that are due by now.
    fn begin_batch(&self, now: Time, is_first: bool) -> bool {
        if self.remote.is_filled() {
            self.take_inbox();
        }
        self.look_if_due(now, is_first);
        self.take_timers(now);
        let (batch, waiting) = {
            let ready = &mut self.core.borrow_mut().ready;
            (ready.begin_batch(self.breadth.get().max(MIN_BATCH)), ready.len())
        };
        if batch > 0 && waiting > 1 && !self.armed.get() {
            // The first item of the batch may run a nested loop, and the other items have to run in
            // that loop.
            self.arm();
        }
        batch > 0
    }

    /// Looks at the fds, unless that is likely to find nothing: because there is other work, or
    /// because the turn is about to end.
    fn look_if_due(&self, now: Time, is_first: bool) {
        let nothing_else = self.core.borrow().ready.is_empty();
        if nothing_else && !is_first && !self.is_timer_due(now) {
            let mut last_look = self.last_look.get();
            if last_look.is_promising() {
                last_look.record(self.take_fds());
            }
            return self.last_look.set(last_look);
        }
        if nothing_else || self.pace.is_due(now) {
            self.pace.record(self.take_fds(), now);
        }
    }

    /// Whether a timer is due. Then the fds are looked at first: their items come before due
    /// timers, as in asyncio.
    fn is_timer_due(&self, now: Time) -> bool {
        self.core.borrow_mut().timers.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    fn turn(&self, cause: Cause) {
        let began = self.host.now();
        let number = self.counters.turn_began();
        let is_spent = self.run_batches(began);
        self.spent_by.set(is_spent.then_some(cause));
        self.counters.turn_ended(number, self.host.now().since(began));
        self.remote.brake().turned(|| self.has_rest());
    }

    /// Whether few of the items that other threads have sent are left.
    pub(super) fn has_rest(&self) -> bool {
        self.core.borrow().ready.sent() <= self.breadth.get() / REST
    }

    /// Returns whether the slice is spent, and the run goes on.
    fn run_batches(&self, mut now: Time) -> bool {
        let items_before = self.counters.items();
        let end = now.after(self.slice.get());
        let mut batches_left = MAX_BATCHES;
        let mut is_first = true;
        loop {
            let batch_is_done = self.core.borrow().ready.batch_is_done();
            let is_first = std::mem::replace(&mut is_first, false);
            if batch_is_done && !self.begin_batch(now, is_first) && !self.is_stopping() {
                self.pace.reset();
                self.learn_breadth(self.counters.items() - items_before, false);
                self.rearm();
                return false;
            }
            match self.run_batch(&mut now, end) {
                Batch::Done if self.has_come_to_stop() => break,
                Batch::Done if now < end && batches_left > 0 => batches_left -= 1,
                Batch::Done | Batch::SliceSpent => {
                    self.counters.slice_spent();
                    self.learn_breadth(self.counters.items() - items_before, true);
                    self.rearm();
                    return true;
                }
                Batch::Left => break,
            }
        }
        self.leave();
        false
    }

    /// Whether the run is to end now. A request to stop takes effect at the end of the iteration.
    fn has_come_to_stop(&self) -> bool {
        let core = self.core.borrow();
        core.state.is_stopping() && core.ready.is_iteration_done()
    }

    /// Learns how many items a slice has room for: exactly `items` if the slice is spent, otherwise
    /// at least `items`.
    fn learn_breadth(&self, items: u64, is_spent: bool) {
        let items = usize::try_from(items).unwrap_or(MAX_BREADTH);
        if is_spent || items > self.breadth.get() {
            self.breadth.set(items.clamp(MIN_BREADTH, MAX_BREADTH));
        }
    }

    /// Runs the rest of the batch. The clock is read often enough that a deadline is noticed after
    /// a few items at the latest, and seldom enough that it costs little.
    fn run_batch(&self, now: &mut Time, end: Time) -> Batch {
        loop {
            let item = self.core.borrow_mut().ready.pop();
            let Some(item) = item else { return Batch::Done };
            if !self.client.admits(&item) {
                self.deferred_depth.set(self.depth.get());
                self.core.borrow_mut().ready.defer(item);
                continue;
            }
            let ran = self.run_item(item);
            // A nested turn may have ended the run in the meantime.
            if ran.is_break() || self.leaving.get() {
                return Batch::Left;
            }
            // A timer that was made just now may be due before the next items. A nested loop may
            // have taken long.
            if self.pace.clock_is_due() | self.clock_is_stale.take() {
                let before = std::mem::replace(now, self.host.now());
                self.pace.clock_was_read(now.since(before), self.slice.get());
                if *now >= end && !self.core.borrow().ready.batch_is_done() {
                    return Batch::SliceSpent;
                }
            }
        }
    }

    fn run_item(&self, item: C::Item) -> ControlFlow<()> {
        self.counters.item_run();
        let _running = Running(self);
        self.client.run(item)
    }

    /// Runs the item that was queued last at once, if `is_it` recognises it. It runs inside the
    /// item that is under way, which is suspended as for a nested turn. Returns whether it was run.
    /// If not, the item waits in the queue like any other.
    pub fn run_last_now(&self, is_it: impl FnOnce(&C::Item) -> bool) -> bool {
        if !self.may_run_now() {
            return false;
        }
        // The core is not borrowed while `is_it` looks, because it may run foreign code.
        let last = self.core.borrow_mut().ready.pop_last();
        let Some(item) = last else { return false };
        if !is_it(&item) {
            self.core.borrow_mut().ready.push(item);
            return false;
        }
        let begun = Begun::new(self);
        if self.run_item(item).is_break() {
            self.leave();
        }
        drop(begun);
        if self.depth.get() == 0 && !self.leaving.get() {
            // The item armed the host when it was queued, perhaps for nothing.
            self.rearm();
        }
        true
    }

    /// Whether an item may run here: on the thread of a run that is not over yet, and not too deep
    /// in its stack.
    fn may_run_now(&self) -> bool {
        let is_running = self.core.borrow().state.phase() == Phase::Running;
        is_running && self.is_loop_thread() && !self.leaving.get() && self.depth.get() < MAX_DEPTH
    }

    /// Ends the run from within. An attached loop ends the loop that carries it, and may be entered
    /// again.
    fn leave(&self) {
        self.leaving.set(!self.attached.get());
        self.host.quit();
        if self.attached.get() {
            self.set_stopping(false);
            self.rearm();
        }
    }

    /// Ignores an event that cannot be handled, because the run is over or the stack is too deep.
    fn ignore(&self, event: Event) {
        match event {
            Event::Ready => self.armed.set(false),
            Event::Deadline => self.deadline.set(None),
            Event::Fd(fd, _) => {
                // Otherwise the host would report the fd again and again. Ending a watch does not
                // fail.
                let _ended = self.host.watch(fd, Interest::NONE);
                self.untold.borrow_mut().push(fd);
            }
        }
    }

    /// Tells the host the watches of fds whose events were ignored, or whose watches another thread
    /// has changed.
    fn tell_untold(&self) {
        for fd in self.untold.take() {
            let interest =
                self.fds.borrow().interest(fd, &self.remote, &self.core.borrow().watches);
            // If the fd was closed meanwhile, its watch has ended, and the error does not matter.
            let _watched = self.host.watch(fd, interest);
        }
    }

    /// Tells the host what to wait for.
    pub(super) fn rearm(&self) {
        if !self.untold.borrow().is_empty() {
            self.tell_untold();
        }
        if self.core.borrow().ready.is_empty() {
            self.expect_wakes();
        }
        let (is_ready, deadline) = {
            let mut core = self.core.borrow_mut();
            (!core.ready.is_empty() || core.state.is_stopping(), core.timers.next_deadline())
        };
        if is_ready != self.armed.get() {
            if is_ready {
                self.arm();
            } else {
                self.armed.set(false);
                self.host.disarm();
            }
        }
        if deadline != self.deadline.get() {
            self.set_deadline(deadline);
        }
    }
}

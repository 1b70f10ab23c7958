//! A turn: from a host's event to the next time the host waits.

use std::ops::ControlFlow;

use super::{Client, Core, Driver};
use crate::core::{Direction, Interest, Phase, Time};
use crate::host::{Event, EventSink, Host};

/// The most batches in a turn: more than any slice has room for, unless the clock is simulated and
/// stands still.
const MAX_BATCHES: u32 = 10_000;

// The next four are bounds and gain nothing. Half or twice of `MIN_BREADTH`, `MAX_BREADTH` and
// `MIN_BATCH` changes neither the turns nor the looks of the rows of `make bench`.

/// How many items of other threads may wait, though a slice has room for fewer.
const MIN_BREADTH: usize = 16;

/// How many may wait as long as it is not known how many a slice has room for.
pub(super) const FIRST_BREADTH: usize = 64;

/// How many may wait, though a slice has room for more.
const MAX_BREADTH: usize = 1024;

/// This part of the breadth is little: whoever waits for the loop may send again.
const REST: usize = 8;

/// A thread that sends has to wait from so many times the breadth on: it holds Python's lock for
/// about as many slices.
pub(super) const FLOOD: usize = 2;

/// How many of them run in one batch at least, though a slice has room for fewer: the iteration of
/// asyncio is not cut without need.
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
        match event {
            // A host that has fired is armed again at once, for nested loops. A turn in one of them
            // then sets the deadline too. The host is disarmed at the end of the turn if nothing is
            // ready. An fd is still watched; `begin_batch` and `call_soon` see to the rest.
            Event::Ready => self.arm(),
            Event::Deadline => {
                self.deadline.set(None);
                self.arm();
            }
            Event::Fd(fd, readiness) => {
                let batch_is_done = self.core.borrow().ready.batch_is_done();
                self.fds.borrow_mut().note(fd, readiness, batch_is_done, &self.remote);
                if !self.armed.get() {
                    // The wake that brought this event is spent, and no other turn is sure to come
                    // in a nested loop.
                    self.remote.wake_fd().may_sleep();
                }
            }
        }
        let _begun = Begun::new(self);
        self.turn();
    }
}

/// A turn that is on the stack. When it is dropped, also by a panic, what was under way before goes
/// on.
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

/// An item that runs. When it is dropped, also by a panic, what nested turns have put aside can be
/// taken up again.
struct Running<'a, H: Host, C: Client>(&'a Driver<H, C>);

impl<H: Host, C: Client> Drop for Running<'_, H, C> {
    fn drop(&mut self) {
        let driver = self.0;
        if driver.deferred_depth.get() > driver.depth.get() {
            // What was put aside can run now, or it waits for an item further up the stack.
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

    /// From now on other threads wake the loop. What they sent before, to a loop that counted as
    /// awake, is taken after that: what came between the look at the inbox and this call would wake
    /// nobody.
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
            // The next batch may run a nested loop. Only a new wake is sure to bring a turn there.
            self.expect_wakes();
        }
        let mut ghost = found.ghost;
        for fd in lingering {
            // Somebody expected this fd once, and nobody has waited for it since. Or it is a file
            // that has lost its number.
            ghost |= !self.change_watch(fd, Interest::NONE, Interest::NONE).unwrap_or(true);
        }
        if ghost {
            // If no fd is left for a new set, the next look tries again.
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

    /// Looks at every source of work. Then makes what is ready one batch, or cuts a batch off it if
    /// it is a flood. Returns whether there is any.
    ///
    /// What a look takes has a bound of its own: a look reports each fd once, and takes the timers
    /// that are due by now.
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
            // The first item of the batch may run a nested loop, and the others have to run in it.
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

    fn turn(&self) {
        let began = self.host.now();
        let number = self.counters.turn_began();
        self.run_batches(began);
        self.counters.turn_ended(number, self.host.now().since(began));
        self.remote.brake().turned(|| self.has_rest());
    }

    /// Whether little is left of what other threads have sent.
    pub(super) fn has_rest(&self) -> bool {
        self.core.borrow().ready.sent() <= self.breadth.get() / REST
    }

    fn run_batches(&self, mut now: Time) {
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
                break;
            }
            match self.run_batch(&mut now, end) {
                Batch::Done if self.has_come_to_stop() => return self.leave(),
                Batch::Done if now < end && batches_left > 0 => batches_left -= 1,
                Batch::Done | Batch::SliceSpent => {
                    self.counters.slice_spent();
                    self.learn_breadth(self.counters.items() - items_before, true);
                    break;
                }
                Batch::Left => return self.leave(),
            }
        }
        self.rearm();
    }

    /// Whether the run is to end now: a request to stop waits for the end of the iteration.
    fn has_come_to_stop(&self) -> bool {
        let core = self.core.borrow();
        core.state.is_stopping() && core.ready.is_iteration_done()
    }

    /// Learns that a slice had room for that many items, and for more unless it is spent.
    fn learn_breadth(&self, items: u64, is_spent: bool) {
        let items = usize::try_from(items).unwrap_or(MAX_BREADTH);
        if is_spent || items > self.breadth.get() {
            self.breadth.set(items.clamp(MIN_BREADTH, MAX_BREADTH));
        }
    }

    /// Runs what is left of the batch. The clock is read so often that no deadline is noticed later
    /// than the last few items took, and so seldom that it costs little.
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
            // A timer made just now may be due before what is called after it. A nested loop takes
            // its time.
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

    /// Runs at once what was queued last, if `is_it` recognises it. It runs inside whatever is
    /// under way, which is put aside as for a nested turn. Returns whether it was run. If not, it
    /// waits for its turn like everything else.
    pub fn run_last_now(&self, is_it: impl FnOnce(&C::Item) -> bool) -> bool {
        if !self.may_run_now() {
            return false;
        }
        // Not borrowed while `is_it` looks: it may run foreign code.
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

    /// Ignores an event that nothing can be done about: the run is over, or the stack is too deep.
    fn ignore(&self, event: Event) {
        match event {
            Event::Ready => self.armed.set(false),
            Event::Deadline => self.deadline.set(None),
            Event::Fd(fd, _) => {
                // The host would report it again and again. To end a watch does not fail.
                let _ended = self.host.watch(fd, Interest::NONE);
                self.untold.borrow_mut().push(fd);
            }
        }
    }

    /// Tells the host the watches of fds whose event was ignored, or whose watch another thread has
    /// changed.
    fn tell_untold(&self) {
        for fd in self.untold.take() {
            let interest =
                self.fds.borrow().interest(fd, &self.remote, &self.core.borrow().watches);
            // An fd that was closed meanwhile has lost its watch anyway.
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

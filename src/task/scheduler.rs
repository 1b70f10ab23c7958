//! The part of a loop that the executor uses, whatever else the loop runs.

use std::io;

use super::foreign::job::Job;
use crate::core::{Direction, Fd, Time, TimerKey};
use crate::driver::{Client, Driver, Remote};
use crate::host::Host;

/// What a loop does for the executor. All calls come from the loop's thread.
pub(crate) trait Scheduler {
    /// The time on the loop's clock.
    fn now(&self) -> Time;

    /// Runs `job` in the next batch.
    fn call_soon(&self, job: Job);

    /// Runs `job` at `deadline` or as soon after as the host can.
    fn call_at(&self, deadline: Time, job: Job) -> TimerKey;

    /// Takes a timer back, if it has not fired.
    fn cancel(&self, key: TimerKey) -> Option<Job>;

    /// Runs `job` again and again while `fd` is ready for `direction`, and returns the job that did
    /// so before.
    ///
    /// # Errors
    /// If the fd cannot be watched.
    fn watch(&self, fd: Fd, direction: Direction, job: Job) -> io::Result<Option<Job>>;

    /// Whether `is_it` recognises the job that watches.
    fn is_watched_by(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> bool;

    /// Ends the watch of the job that `is_it` recognises. If another job has taken its place, that
    /// one stays.
    fn unwatch(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> Option<Job>;

    /// Asks the run to end when the iteration under way is done.
    fn stop(&self);

    /// Drops what other threads have sent to the loop, which is closed.
    fn discard_sent(&self);

    /// Whether the loop's turns are another module's, which knows nothing of the current executor
    /// in this module.
    fn is_foreign(&self) -> bool {
        false
    }

    /// Calls `run`, which runs or drops parts of a task, with the locks held that this needs.
    fn surround(&self, run: &mut dyn FnMut()) {
        run();
    }
}

/// The part of a loop that other threads use.
pub(crate) trait Sender: Send + Sync {
    /// Sends `job` to be run in the loop's next batch, and wakes the loop if it sleeps.
    fn send(&self, job: Job);
}

/// What a driver schedules if it also serves the executor.
pub(crate) trait Carrier: From<Job> {
    /// The job, if it is one.
    fn as_job(&self) -> Option<&Job>;

    /// The job, if it is one.
    fn into_job(self) -> Option<Job>;
}

impl Carrier for Job {
    fn as_job(&self) -> Option<&Job> {
        Some(self)
    }

    fn into_job(self) -> Option<Job> {
        Some(self)
    }
}

impl<H: Host, C: Client<Item: Carrier>> Scheduler for Driver<H, C> {
    fn now(&self) -> Time {
        Driver::now(self)
    }

    fn call_soon(&self, job: Job) {
        Driver::call_soon(self, job.into());
    }

    fn call_at(&self, deadline: Time, job: Job) -> TimerKey {
        Driver::call_at(self, deadline, job.into())
    }

    fn cancel(&self, key: TimerKey) -> Option<Job> {
        Driver::cancel(self, key).and_then(Carrier::into_job)
    }

    fn watch(&self, fd: Fd, direction: Direction, job: Job) -> io::Result<Option<Job>> {
        Ok(Driver::watch(self, fd, direction, job.into())?.and_then(Carrier::into_job))
    }

    fn is_watched_by(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> bool {
        Driver::is_watched_by(self, fd, direction, |item| item.as_job().is_some_and(is_it))
    }

    fn unwatch(&self, fd: Fd, direction: Direction, is_it: &dyn Fn(&Job) -> bool) -> Option<Job> {
        let item = self.unwatch_if(fd, direction, |item| item.as_job().is_some_and(is_it));
        item.and_then(Carrier::into_job)
    }

    fn stop(&self) {
        self.set_stopping(true);
    }

    fn discard_sent(&self) {
        Driver::discard_sent(self);
    }
}

impl<T: Carrier + Send> Sender for Remote<T> {
    fn send(&self, job: Job) {
        Remote::send(self, job.into());
    }
}

//! Where events come from: the run loop that lends us its thread.

pub mod activity;
pub mod bare;
pub mod clock;
#[cfg(unix)]
pub mod contract;
pub mod sim;
pub mod table;
pub mod usage;
pub mod wake_fd;

use std::error::Error;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::rc::Rc;

use crate::core::{Fd, Interest, Time};

/// What a host reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host was armed and has come round to it.
    Ready,
    /// The deadline has passed.
    Deadline,
    /// The file descriptor is ready for these directions. An error or a hang-up counts as both.
    Fd(Fd, Interest),
}

/// Whom a host reports to: the driver, behind a pointer that the host can store.
pub trait EventSink {
    /// Handles one event. May call any method of the host but `start`, and may run a nested loop of
    /// the host's kind, in which further events arrive before this call returns.
    fn event(&self, event: Event);
}

/// Which of the host's loops [`Host::run`] enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exec {
    /// The application's own loop if this is its thread and nothing runs there yet, so that
    /// quitting the application ends the run; else a loop of our own.
    #[default]
    Application,
    /// A loop of our own that nobody but [`Host::quit`] ends, not even an application that is
    /// quitting: finalizers run here.
    Drain,
}

/// Why a host cannot serve.
#[derive(Debug)]
pub struct HostError(Box<dyn Error + Send + Sync>);

/// What a Qt host says where Qt has no application object.
pub const NO_APPLICATION: &CStr = c"no QCoreApplication exists: create one before the loop runs";

impl HostError {
    /// An error that tells the user `reason`, a text or another error.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> HostError {
        HostError(reason.into())
    }

    /// The error of a Qt host where Qt has no application object yet, or not any more.
    pub fn no_application() -> HostError {
        HostError::new(NO_APPLICATION.to_string_lossy())
    }

    /// The reason.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for HostError {}

/// A run loop that can carry ours: Qt's, or any other that has an idle source, a timer and fd
/// watches.
///
/// # The contract
///
/// [`contract::check`] tests it; every host passes.
///
/// * All calls come from one thread between `start` and `stop`. A host may be started again later,
///   on another thread.
/// * Outside `start` ... `stop` no event is reported, and nothing is left behind in the run loop.
/// * Every event is reported from inside the run loop (ours or one nested in it), never from inside
///   a call of a method.
/// * `arm` asks for one [`Event::Ready`]. It comes after the run loop has looked at its other
///   sources, also in a nested loop, and also when the `Ready` before it is still being handled: a
///   host whose timer cannot fire again while its event is handled starts a fresh one. `disarm`
///   takes it back.
/// * `set_deadline` asks for one [`Event::Deadline`] at that time or later, never earlier, or takes
///   it back; it replaces the deadline before. One in the past comes at once. It too may be set
///   anew while its event is handled.
/// * `watch` asks for [`Event::Fd`] as long as the fd is ready (level-triggered); it replaces the
///   interest before.
/// * `quit` ends the innermost `run`, after the event under way, and, as far as the run loop can do
///   that, what is nested in it. It may come before any event. With no `run` under way it ends the
///   loops of somebody else's that carry the host.
/// * With nothing armed, no deadline and no fd ready the host sleeps: no polling, no heartbeat.
pub trait Host {
    /// The host's name, for users: `"qt"`, `"binding"`, `"sim"`, or what one written elsewhere
    /// calls itself.
    fn name(&self) -> &str;

    /// The time on the host's monotonic clock.
    fn now(&self) -> Time;

    /// Creates what the host needs in the run loop of the calling thread; from now on events go to
    /// `sink`.
    ///
    /// # Errors
    /// If this thread has no run loop to offer.
    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError>;

    /// Removes everything that `start` created and lets the sink go.
    fn stop(&self);

    /// Runs the loop until [`quit`](Host::quit), or until the application quits; the exit code if
    /// it was the application's own loop, else 0.
    ///
    /// # Errors
    /// If the loop cannot run, or nothing could ever end it.
    fn run(&self, exec: Exec) -> Result<i32, HostError>;

    /// Ends the innermost [`run`](Host::run), or what runs the host's loop instead.
    fn quit(&self);

    /// Asks for [`Event::Ready`].
    fn arm(&self);

    /// Takes `arm` back.
    fn disarm(&self);

    /// Asks for [`Event::Deadline`] at or after `deadline`, or for none.
    fn set_deadline(&self, deadline: Option<Time>);

    /// Asks for [`Event::Fd`] for these directions of `fd`; [`Interest::NONE`] ends the watch.
    ///
    /// # Errors
    /// If the fd cannot be watched. Ending a watch does not fail.
    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()>;
}

impl<H: Host + ?Sized> Host for Box<H> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn now(&self) -> Time {
        (**self).now()
    }
    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        (**self).start(sink)
    }
    fn stop(&self) {
        (**self).stop();
    }
    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        (**self).run(exec)
    }
    fn quit(&self) {
        (**self).quit();
    }
    fn arm(&self) {
        (**self).arm();
    }
    fn disarm(&self) {
        (**self).disarm();
    }
    fn set_deadline(&self, deadline: Option<Time>) {
        (**self).set_deadline(deadline);
    }
    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        (**self).watch(fd, interest)
    }
}

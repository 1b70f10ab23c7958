//! What a thread has of the machine: to tell one that was held up from one that the machine did not
//! let run.

use std::time::Duration;

/// A thread, to be looked at by others.
#[derive(Clone, Copy, Debug)]
pub struct Thread(Option<u32>);

impl Thread {
    /// The calling one.
    pub fn current() -> Thread {
        Thread(system::number())
    }

    /// How long it has run; `None` where the system does not tell, or if it has ended.
    pub fn ran(self) -> Option<Duration> {
        self.0.and_then(system::ran)
    }

    /// Whether it runs, or would if the machine let it; false where the system does not tell.
    pub fn is_ready(self) -> bool {
        self.0.is_some_and(system::is_ready)
    }
}

/// Of one stretch of time, how much a thread was kept waiting by the machine, as far as those see
/// who look at it now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptWaiting {
    /// The length of the stretch at the last look, and how long the thread had run by then.
    last: Option<(Duration, Option<Duration>)>,
    total: Duration,
}

impl KeptWaiting {
    /// A look at a stretch that has this length by now: a thread that is ready, and has run for a
    /// part of the time since the last look, was kept waiting for the rest. What was before the
    /// first look nobody knows.
    pub fn look(&mut self, length: Duration, ran: Option<Duration>, is_ready: bool) {
        if let (Some((length_before, Some(ran_before))), Some(ran), true) =
            (self.last, ran, is_ready)
        {
            let ran = ran.saturating_sub(ran_before);
            self.total += length.saturating_sub(length_before).saturating_sub(ran);
        }
        self.last = Some((length, ran));
    }

    /// The sum.
    pub fn total(&self) -> Duration {
        self.total
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_int, c_long};
    use std::fs;
    use std::time::Duration;

    /// C's `struct timespec` as on most of Linux; where it is another one the call below fails or
    /// tells nonsense of no consequence.
    #[repr(C)]
    struct Timespec {
        seconds: c_long,
        nanos: c_long,
        /// Room for one that is larger.
        _more: [c_long; 2],
    }

    unsafe extern "C" {
        fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    }

    /// The calling thread's number.
    pub fn number() -> Option<u32> {
        // "1234/task/1235"
        fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
    }

    pub fn ran(thread: u32) -> Option<Duration> {
        // The kernel's number for the processor time of one thread, by its scheduler.
        let clock = (!c_int::try_from(thread).ok()? << 3) | 0b110;
        let mut time = Timespec { seconds: 0, nanos: 0, _more: [0; 2] };
        // SAFETY: the memory has room for what the function writes, and it keeps no pointer to it;
        // a wrong clock is refused.
        let is_told = unsafe { clock_gettime(clock, &raw mut time) } == 0;
        let nanos = u32::try_from(time.nanos).ok()?;
        is_told.then_some(Duration::new(u64::try_from(time.seconds).ok()?, nanos))
    }

    pub fn is_ready(thread: u32) -> bool {
        // "1235 (name) R ...", and a name may have any signs in it.
        let stat = fs::read(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
        let state = stat.iter().rposition(|it| *it == b')').and_then(|end| stat.get(end + 2));
        state == Some(&b'R')
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    pub fn number() -> Option<u32> {
        None
    }

    pub fn ran(_: u32) -> Option<Duration> {
        None
    }

    pub fn is_ready(_: u32) -> bool {
        false
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_a_ready_thread_did_not_run_it_was_kept_waiting() {
        let mut kept = KeptWaiting::default();
        kept.look(seconds(3), Some(seconds(50)), true);
        assert_eq!(kept.total(), seconds(0));
        kept.look(seconds(7), Some(seconds(51)), true);
        assert_eq!(kept.total(), seconds(3));
        // What it waits for is its own business.
        kept.look(seconds(10), Some(seconds(51)), false);
        assert_eq!(kept.total(), seconds(3));
        kept.look(seconds(12), Some(seconds(53)), true);
        assert_eq!(kept.total(), seconds(3));
        kept.look(seconds(20), None, true);
        kept.look(seconds(30), Some(seconds(54)), true);
        assert_eq!(kept.total(), seconds(3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_computes_is_ready_and_runs_and_one_that_waits_is_not() {
        use std::sync::atomic::{AtomicBool, Ordering};
        use std::sync::{Arc, mpsc};

        let computed = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let (done, may_end) = mpsc::channel::<()>();
        let other = std::thread::spawn({
            let computed = Arc::clone(&computed);
            move || {
                tell.send(Thread::current()).expect("the test waits");
                while !computed.load(Ordering::Relaxed) {}
                may_end.recv().expect("the test tells");
            }
        });
        let thread = told.recv().expect("it tells");
        let before = thread.ran().expect("Linux tells");
        while !thread.is_ready() || thread.ran().expect("Linux tells") == before {}
        computed.store(true, Ordering::Relaxed);
        while thread.is_ready() {}
        done.send(()).expect("it waits");
        other.join().expect("it ends");
        assert!(!thread.is_ready() && thread.ran().is_none());
    }
}

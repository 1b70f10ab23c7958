//! The kernel's information about a thread.

use std::ffi::{c_int, c_long};
use std::fs;
use std::time::Duration;

/// C's `struct timespec` as on most Linux systems. If it is different, the call below fails or
/// returns a wrong time, which does no harm.
#[repr(C)]
struct Timespec {
    seconds: c_long,
    nanos: c_long,
    /// Room for a larger structure.
    _more: [c_long; 2],
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

/// The number of the calling thread.
pub fn number() -> Option<u32> {
    // "1234/task/1235"
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// The processor time of the thread; `None` if it has ended.
pub fn ran(thread: u32) -> Option<Duration> {
    // The kernel's number of the clock that counts the processor time of one thread.
    let clock = (!c_int::try_from(thread).ok()? << 3) | 0b110;
    let mut time = Timespec { seconds: 0, nanos: 0, _more: [0; 2] };
    // SAFETY: the memory has room for what the function writes, and it keeps no pointer to it;
    // a wrong clock is refused.
    let is_told = unsafe { clock_gettime(clock, &raw mut time) } == 0;
    let nanos = u32::try_from(time.nanos).ok()?;
    is_told.then_some(Duration::new(u64::try_from(time.seconds).ok()?, nanos))
}

/// Whether the thread runs, or waits only for a processor.
pub fn is_ready(thread: u32) -> bool {
    // "1235 (name) R ...", and the name may have any characters in it.
    let stat = fs::read(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|it| *it == b')').and_then(|end| stat.get(end + 2));
    state == Some(&b'R')
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use crate::host::usage::Thread;

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

//! What the kernel knows: limits, clocks, and how much another process has used.

use std::fs;
use std::io;
use std::time::Duration;

use crate::Outcome;

/// Allows as many open files as this process may have.
pub fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that the call fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit that the call reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
}

/// The clock behind Python's `time.monotonic_ns` and `perf_counter_ns`.
pub fn monotonic_nanoseconds() -> io::Result<u64> {
    let time = read_clock(libc::CLOCK_MONOTONIC)?;
    Ok(time.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// The process under measurement, seen from outside, so that measuring costs it nothing.
pub struct Process {
    pid: libc::pid_t,
    clock: libc::clockid_t,
}

/// What a process has used so far, or between two moments.
#[derive(Clone, Copy)]
pub struct Usage {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// How often its main thread went to sleep.
    pub sleeps: u64,
}

impl Usage {
    /// What was used after `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

impl Process {
    /// Finds the CPU clock of a running process.
    pub fn new(pid: libc::pid_t) -> io::Result<Self> {
        let mut clock = 0;
        // SAFETY: `clock` is valid for the call to write.
        match unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } {
            0 => Ok(Self { pid, clock }),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// What it has used since it started.
    pub fn usage(&self) -> Outcome<Usage> {
        Ok(Usage { cpu: read_clock(self.clock)?, sleeps: self.sleeps()? })
    }

    fn sleeps(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(count.ok_or("no count of context switches")?.trim().parse()?)
    }
}

fn read_clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that the call fills.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Ok(Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

//! The `stamp` mode: the time, written to stdout at intervals.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::args::Args;
use crate::system::monotonic_nanoseconds;

/// Runs the mode: each stamp is the monotonic clock in nanoseconds, eight bytes, little-endian.
pub fn run(args: &mut Args) -> Outcome<()> {
    let count: u32 = args.required("count")?;
    let interval = Duration::try_from_secs_f64(args.required("interval")?)?;
    args.finish()?;

    let mut out = io::stdout().lock();
    for _ in 0..count {
        thread::sleep(interval);
        out.write_all(&monotonic_nanoseconds()?.to_le_bytes())?;
        // Stdout is line-buffered.
        out.flush()?;
    }
    Ok(())
}

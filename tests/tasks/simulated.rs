//! A loop without waits, and fewer rounds where each step takes long.

use qtloop::EventLoop;
use qtloop::host::sim::SimHost;

use crate::loops::STRATEGIES;

/// How often a test repeats what may go wrong now and then: far less under
/// Miri, which takes a thousand times as long and looks at each access by itself.
pub const fn rounds(wanted: usize) -> usize {
    const ENOUGH_FOR_MIRI: usize = 5;
    if cfg!(miri) && wanted > ENOUGH_FOR_MIRI { ENOUGH_FOR_MIRI } else { wanted }
}

/// A loop whose clock is simulated, and which other threads can wake.
pub fn simulated() -> EventLoop<SimHost> {
    EventLoop::with_strategy(SimHost::with_real_fds(), STRATEGIES[0]).expect("fds are left")
}

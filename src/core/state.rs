//! Where a loop stands between its birth and its close.

/// What a loop is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It can be run.
    #[default]
    Idle,
    /// Its host runs and turns may come.
    Running,
    /// It was closed; nothing can be scheduled any more.
    Closed,
}

/// Why a change of phase was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The loop runs already.
    Running,
    /// The loop was closed.
    Closed,
    /// One of the loop's own items is on the stack.
    Busy,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::Running => "This event loop is already running",
            Refused::Closed => "Event loop is closed",
            Refused::Busy => "the loop cannot be detached by one of its own callbacks or tasks",
        })
    }
}

impl std::error::Error for Refused {}

/// The phase, and the wish to stop, which outlives it: `stop()` before a run makes that run one
/// iteration long.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunState {
    phase: Phase,
    stopping: bool,
}

impl RunState {
    /// What the loop is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the loop is to stop when the iteration under way is done.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Asks for a stop, or takes the wish back.
    pub fn set_stopping(&mut self, stopping: bool) {
        self.stopping = stopping;
    }

    /// Idle to running.
    pub fn begin(&mut self) -> Result<(), Refused> {
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Running;
                Ok(())
            }
            Phase::Running => Err(Refused::Running),
            Phase::Closed => Err(Refused::Closed),
        }
    }

    /// Running to idle, which grants the wish to stop.
    pub fn end(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Idle;
        }
        self.stopping = false;
    }

    /// Idle to closed; closing twice is no error.
    pub fn close(&mut self) -> Result<(), Refused> {
        if self.phase == Phase::Running {
            return Err(Refused::Running);
        }
        self.phase = Phase::Closed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_stays_closed() {
        let mut state = RunState::default();
        assert_eq!(state.begin(), Ok(()));
        assert_eq!(state.begin(), Err(Refused::Running));
        assert_eq!(state.close(), Err(Refused::Running));
        state.end();
        assert_eq!(state.close(), Ok(()));
        assert_eq!(state.close(), Ok(()));
        assert_eq!(state.begin(), Err(Refused::Closed));
        assert_eq!(state.phase(), Phase::Closed);
    }

    #[test]
    fn a_wish_to_stop_waits_for_the_run() {
        let mut state = RunState::default();
        state.set_stopping(true);
        assert_eq!(state.begin(), Ok(()));
        assert!(state.is_stopping());
        state.end();
        assert!(!state.is_stopping());
    }
}

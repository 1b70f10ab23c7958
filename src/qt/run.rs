//! A program that is one future.

use std::future::Future;

use super::application::Application;
use super::host::QtHost;
use crate::driver::RunError;
use crate::task::{BlockOnError, EventLoop};

/// Runs `main` inside Qt's event loop, on the calling thread, and gives its output. Makes a
/// headless `QCoreApplication` if the process has no application object.
///
/// Quitting the application, as the last window does when it is closed, ends the run: `main` and
/// every other task is dropped.
///
/// # Errors
/// [`BlockOnError::Quit`] if the application quits before `main` is done, [`BlockOnError::Run`] if
/// the loop cannot run.
///
/// # Panics
/// If `main` panics, as it does.
pub fn run<F: Future>(main: F) -> Result<F::Output, BlockOnError> {
    let _application = Application::new();
    // Dropped before the application goes.
    let event_loop =
        EventLoop::new(QtHost::new()).map_err(|error| BlockOnError::Run(RunError::Io(error)))?;
    event_loop.block_on(main)
}

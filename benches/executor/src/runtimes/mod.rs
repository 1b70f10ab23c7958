//! The runtimes.

mod calloop;
#[cfg(feature = "qt")]
mod execute_async;
mod local_pool;
#[cfg(feature = "qt")]
mod qtloop;
mod tokio;

pub use calloop::Calloop;
#[cfg(feature = "qt")]
pub use execute_async::ExecuteAsync;
pub use local_pool::Pool;
#[cfg(feature = "qt")]
pub use qtloop::Qtloop;
pub use tokio::{TokioLocal, TokioShared};

/// The dispatcher that Qt takes on this thread, as the environment says.
#[cfg(feature = "qt")]
fn dispatcher() -> &'static str {
    if std::env::var_os("QT_NO_GLIB").is_some_and(|value| !value.is_empty()) {
        "plain"
    } else {
        "GLib"
    }
}

//! The native host for Qt 6 and 5.15: QtCore's timers, socket notifiers and event loop, through
//! `cpp/`. Beside it, the signals of any `QObject`: to a closure ([`connect`]), as a stream
//! ([`Emissions`]), as a future ([`emitted`]).

#[cfg(feature = "qt-module")]
mod activity;
mod application;
mod bridge;
mod emissions;
mod host;
#[cfg(feature = "qt-module")]
mod module;
mod object;
mod run;
mod signal;
mod value;

pub use self::application::Application;
pub use self::emissions::{Emissions, Emitted, SenderDestroyed, emitted};
pub use self::host::QtHost;
pub use self::object::Object;
pub use self::run::run;
pub use self::signal::{Connection, Emission, NoSuchSignal, connect};
pub use self::value::Value;

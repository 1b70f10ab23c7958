//! The native host for Qt 6 and 5.15: QtCore's timers, socket notifiers and event loop, through `cpp/`. Beside it, the
//! signals of any `QObject`: to a closure ([`connect`]), as a stream ([`Emissions`]), as a future ([`emitted`]).

mod application;
mod bridge;
mod emissions;
mod host;
#[cfg(feature = "qt-module")]
mod module;
mod object;
mod run;
mod signal;
#[cfg(feature = "qt-module")]
mod signs;
mod value;

pub use application::Application;
pub use emissions::{Emissions, Emitted, SenderDestroyed, emitted};
pub use host::QtHost;
pub use object::Object;
pub use run::run;
pub use signal::{Connection, Emission, NoSuchSignal, connect};
pub use value::Value;

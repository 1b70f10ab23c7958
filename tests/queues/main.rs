//! The data structures of `core`, each beside a model.

mod allocated;
mod inbox;
mod ready;
mod timers;
mod watches;

//! The driver and its hosts: items, fds, wakes from other threads, panics, the contract of hosts.
#![allow(clippy::expect_used)]

mod beside_asyncio;
mod fds;
mod histogram;
mod hosts;
mod panics;
mod wakes;

mod support {
    pub mod broken;
    pub mod model;
    pub mod program;
    pub mod script;
    pub mod witness;
}

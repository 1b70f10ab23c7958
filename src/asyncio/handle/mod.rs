//! `Handle` and `TimerHandle`: asyncio's own classes, extended in C terms so that making and
//! running one is cheap.
//!
//! They are real subclasses of `asyncio.Handle` and `asyncio.TimerHandle`: `isinstance`, `repr`,
//! comparisons, attributes and `_run` are the stock ones. What differs is that Rust reads and
//! writes the attributes (`__slots__` members) at their offsets, which are looked up once, and that
//! freed handles are kept for reuse. A Python whose handles have other members fails at import, by
//! name, not later by crash.

mod class;
mod layout;
mod lock;
mod members;
mod memory;
mod new;
mod run;

pub use self::class::{Methods, REDUCE, register};
pub use self::lock::locked;
pub use self::members::{
    context, event_loop, forget_callback, is_cancelled, set_cancelled, set_repr,
    set_source_traceback, set_timer_key, timer_key,
};
pub use self::memory::{leave_queue, leave_queues, queue, track, visit};
pub use self::new::HandleParts;
pub use self::run::{entered, run};

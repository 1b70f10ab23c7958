//! Rust futures in QML applications that are written with qmetaobject, on Qt 6 or 5.15.
//!
//! The loop is the application's own: a Qt event loop that an [`EventLoop`](crate::EventLoop) is
//! attached to. [`run`] makes both and puts them away in the right order. Within it
//!
//! * [`spawn_for`] makes a task that ends when an object does,
//! * [`promise`] makes a method of a Rust object asynchronous for QML,
//! * [`ObjectRef`] lets a task await the signals of QML's items and of Rust's objects,
//! * [`StreamModel`] shows a stream's items in a `ListView`, [`drive`] in a property.
//!
//! Everything here belongs to the thread of the application object.
//!
//! # Objects across an await
//!
//! qmetaobject keeps an object of Rust's in a `RefCell`. A task must not hold a borrow of it across
//! an await: QML would find the object borrowed, and the task would find it moved or gone. Keep a
//! [`QPointer`](qmetaobject::QPointer) in the task, and ask it for the object whenever you need it:
//! it is null when the object is gone.

mod app;
mod drive;
mod lifetime;
mod model;
mod object;
mod promise;

pub use self::app::run;
pub use self::drive::drive;
pub use self::lifetime::{Destroyed, spawn_for};
pub use self::model::StreamModel;
pub use self::object::{ObjectRef, SignalError};
pub use self::promise::promise;

//! Tasks that end when their object does.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;

use futures::future::{Either, select};

use super::object::ObjectRef;
use crate::task::{JoinHandle, spawn_local};

/// The object was destroyed before its task was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed;

impl fmt::Display for Destroyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object was destroyed")
    }
}

impl Error for Destroyed {}

/// As [`spawn_local`](crate::spawn_local), but when `object` is destroyed, whether by Rust or by
/// QML, the task ends: its future is dropped in the loop's next batch, not polled again, and the
/// output is [`Destroyed`]. With a null reference that is at once.
///
/// Mostly nobody waits for such a task: call [`detach`](JoinHandle::detach). A method that tells
/// its result by a signal:
///
/// ```no_run
/// use std::time::Duration;
/// use qmetaobject::{QPointer, prelude::*};
/// use qtloop::{qml, sleep};
///
/// #[derive(QObject, Default)]
/// struct Oven {
///     base: qt_base_class!(trait QObject),
///     bake: qt_method!(fn(&self, seconds: u32)),
///     done: qt_signal!(),
/// }
///
/// impl Oven {
///     fn bake(&self, seconds: u32) {
///         let oven = QPointer::from(self);
///         let task = async move {
///             sleep(Duration::from_secs(seconds.into())).await;
///             if let Some(oven) = oven.as_ref() {
///                 oven.done();
///             }
///         };
///         qml::spawn_for(self, task).detach();
///     }
/// }
/// ```
///
/// # Panics
/// If no loop runs on this thread or is attached to it.
#[track_caller]
pub fn spawn_for<F>(
    object: impl Into<ObjectRef>,
    future: F,
) -> JoinHandle<Result<F::Output, Destroyed>>
where
    F: Future<Output: 'static> + 'static,
{
    let destroyed = object.into().destroyed();
    spawn_local(async move {
        match select(pin!(destroyed), pin!(future)).await {
            Either::Left(_) => Err(Destroyed),
            Either::Right((output, _)) => Ok(output),
        }
    })
}

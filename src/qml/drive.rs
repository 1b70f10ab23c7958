//! Properties driven by streams.

use std::pin::pin;

use futures::{Stream, StreamExt};
use qmetaobject::{QObject, QPointer};

use super::lifetime::{Destroyed, spawn_for};
use crate::task::JoinHandle;

/// Sets a property of `object` to each value that `values` gives, until the stream or the object
/// ends. For a single value make a stream of a future: [`futures::stream::once`].
///
/// `set` stores the value; `notify` emits the property's signal, and is called after the borrow of
/// the object that `set` got has ended: QML may come back in.
///
/// ```no_run
/// use std::time::Duration;
/// use futures::StreamExt;
/// use qmetaobject::prelude::*;
/// use qtloop::{interval, qml};
///
/// #[derive(QObject, Default)]
/// struct Clock {
///     base: qt_base_class!(trait QObject),
///     seconds: qt_property!(u32; NOTIFY ticked),
///     ticked: qt_signal!(),
///     start: qt_method!(fn(&self)),
/// }
///
/// impl Clock {
///     fn start(&self) {
///         let seconds = interval(Duration::from_secs(1)).enumerate();
///         let seconds = seconds.map(|(count, _)| count as u32 + 1);
///         let set = |clock: &mut Clock, seconds| clock.seconds = seconds;
///         qml::drive(self, seconds, set, Clock::ticked).detach();
///     }
/// }
/// ```
///
/// # Panics
/// If no loop runs on this thread or is attached to it. The task panics if a value comes while the
/// object is borrowed.
#[track_caller]
pub fn drive<T, S>(
    object: &T,
    values: S,
    mut set: impl FnMut(&mut T, S::Item) + 'static,
    notify: impl Fn(&T) + 'static,
) -> JoinHandle<Result<(), Destroyed>>
where
    T: QObject + 'static,
    S: Stream + 'static,
{
    let pointer = QPointer::from(object);
    spawn_for(object, async move {
        let mut values = pin!(values);
        while let Some(value) = values.next().await {
            let Some(object) = pointer.as_pinned() else { return };
            set(&mut object.borrow_mut(), value);
            notify(object.borrow());
        }
    })
}

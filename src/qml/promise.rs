//! Promises of JavaScript's that futures settle.

use std::any::TypeId;
use std::ffi::c_void;
use std::fmt::Display;
use std::future::Future;
use std::ptr::NonNull;

use cpp::cpp;
use qmetaobject::{QJSValue, QMetaType, QString, QVariant};

use super::lifetime::spawn_for;
use super::object::ObjectRef;
use crate::task::spawn_local;

cpp! {{
    #include "promise.h"
}}

/// Makes a task of `future`, and a `Promise` for QML that is settled when it is done: it resolves
/// with the output, or rejects with an `Error` that has the error's text for its message. This is
/// what an asynchronous method of a Rust object returns:
///
/// ```no_run
/// use std::time::Duration;
/// use qmetaobject::{QJSValue, prelude::*};
/// use qtloop::{qml, sleep};
///
/// #[derive(QObject, Default)]
/// struct Backend {
///     base: qt_base_class!(trait QObject),
///     divide: qt_method!(fn(&self, dividend: i32, divisor: i32) -> QJSValue),
/// }
///
/// impl Backend {
///     fn divide(&self, dividend: i32, divisor: i32) -> QJSValue {
///         qml::promise(self, async move {
///             sleep(Duration::from_secs(1)).await;
///             dividend.checked_div(divisor).ok_or("there is no such number")
///         })
///     }
/// }
/// ```
///
/// In QML:
///
/// ```qml
/// onClicked: backend.divide(6, 2).then(
///     result => label.text = result, error => label.text = error.message)
/// ```
///
/// `object` is the one whose method it is. The task ends when that is destroyed, and then the
/// promise rejects; as it does when the future panics or the loop is closed. A rejection that no
/// handler takes goes unnoticed in QML: give each promise one. If the engine goes first, nothing
/// happens.
///
/// The output is what `QVariant` can hold; for texts use [`QString`]. The method's return type must
/// read `QJSValue`, by this very name. If the method is not called by QML, and QML has never seen
/// the object, the value is `undefined`; the task runs all the same.
///
/// # Panics
/// If no loop runs on this thread or is attached to it. In a method that QML calls, any panic
/// aborts the process.
#[track_caller]
pub fn promise<F, T, E>(object: impl Into<ObjectRef>, future: F) -> QJSValue
where
    F: Future<Output = Result<T, E>> + 'static,
    T: QMetaType,
    E: Display + 'static,
{
    let object = object.into();
    let (deferred, promise) = Deferred::new(&object);
    let task = spawn_for(object, future);
    spawn_local(async move {
        match task.await {
            Ok(Ok(Ok(value))) => deferred.resolve(variant(&value)),
            Ok(Ok(Err(error))) => deferred.reject(&error),
            Ok(Err(destroyed)) => deferred.reject(&destroyed),
            Err(ended) => deferred.reject(&ended),
        }
    })
    .detach();
    promise
}

/// The value as QML gets it; of no value it makes `undefined`.
fn variant<T: QMetaType>(value: &T) -> QVariant {
    // Qt 5 warns of a variant of nothing.
    if TypeId::of::<T>() == TypeId::of::<()>() { QVariant::default() } else { value.to_qvariant() }
}

/// The resolving functions of a promise. Dropped without being used, it rejects: the loop is
/// closed.
struct Deferred(Option<NonNull<c_void>>);

impl Deferred {
    /// The functions, none if no engine knows the object, and the promise.
    fn new(object: &ObjectRef) -> (Deferred, QJSValue) {
        let object = object.as_ptr();
        let mut promise = QJSValue::default();
        let to = &raw mut promise;
        // SAFETY: the object lives or is null, and this is its thread; `to` is a value.
        let deferred = unsafe {
            cpp!([object as "const QObject *", to as "QJSValue \
                *"] -> *mut c_void as "qtloop::Deferred *" {
                return qtloop::Deferred::create(object, to);
            })
        };
        (Deferred(NonNull::new(deferred)), promise)
    }

    fn resolve(mut self, value: QVariant) {
        let Some(deferred) = self.0.take() else { return };
        let deferred = deferred.as_ptr();
        // SAFETY: made by `new`, deleted once, on its thread.
        unsafe {
            cpp!([deferred as "qtloop::Deferred *", value as "QVariant"] {
                deferred->resolve(value);
                delete deferred;
            })
        }
    }

    fn reject(mut self, reason: &dyn Display) {
        self.reject_with(&reason.to_string());
    }

    fn reject_with(&mut self, message: &str) {
        let Some(deferred) = self.0.take() else { return };
        let (deferred, message) = (deferred.as_ptr(), QString::from(message));
        // SAFETY: as in `resolve`.
        unsafe {
            cpp!([deferred as "qtloop::Deferred *", message as "QString"] {
                deferred->reject(message);
                delete deferred;
            })
        }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        self.reject_with("the event loop was closed");
    }
}

//! Any `QObject` of this thread, whoever made it.

use std::error::Error;
use std::ffi::c_void;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use cpp::{cpp, cpp_class};
use qmetaobject::{QObject, QObjectPinned, QPointer, QString, QVariant, QmlEngine};

use crate::qt::{Emissions, Emitted, NoSuchSignal, emitted};

cpp! {{
    #include <QtCore/QPointer>
    #include <QtCore/QVariant>
    #include <QtQml/QQmlApplicationEngine>
}}

cpp_class!(unsafe struct Pointer as "QPointer<QObject>");

/// A reference to a `QObject` that may be destroyed meanwhile: an item of QML's, an object of
/// Rust's.
///
/// From an object of Rust's it is made by `From`. The object is referred to by its C++ half, which
/// qmetaobject makes when QML gets to know it; without one the reference is null.
#[derive(Clone, Default)]
pub struct ObjectRef {
    pointer: Pointer,
    thread_bound: PhantomData<*const ()>,
}

impl ObjectRef {
    /// A reference to the `QObject` at `object`, which may be null.
    ///
    /// # Safety
    /// `object` is null or points to a living `QObject` of the calling thread.
    pub unsafe fn from_ptr(object: *mut c_void) -> ObjectRef {
        // SAFETY: the caller's promise.
        let pointer = unsafe {
            cpp!([object as "QObject \
                *"] -> Pointer as "QPointer<QObject>" { return QPointer<QObject>(object); })
        };
        ObjectRef { pointer, thread_bound: PhantomData }
    }

    /// The first object that `engine` made of what it loaded, usually a window; null if it could
    /// not make any.
    pub fn root(engine: &QmlEngine) -> ObjectRef {
        let engine = engine.cpp_ptr();
        // SAFETY: qmetaobject's engine is an application engine; its objects are of its thread.
        unsafe {
            ObjectRef::from_ptr(cpp!([engine as "QQmlEngine *"] -> *mut c_void as "QObject *" {
                return static_cast<QQmlApplicationEngine *>(engine)->rootObjects().value(0);
            }))
        }
    }

    /// The object of this name (its `objectName`) among the children of this one and theirs; null
    /// if there is none.
    ///
    /// Children are those in Qt's sense: items and objects that are declared in one another, but
    /// not a delegate's.
    pub fn find(&self, name: &str) -> ObjectRef {
        let (object, name) = (self.as_ptr(), QString::from(name));
        // SAFETY: the object lives or is null; its children are of its thread.
        unsafe {
            ObjectRef::from_ptr(
                cpp!([object as "QObject *", name as "QString"] -> *mut c_void as "QObject *" {
                    return object ? object->findChild<QObject *>(name) : nullptr;
                }),
            )
        }
    }

    /// The `QObject *`; null if the object is gone.
    pub fn as_ptr(&self) -> *mut c_void {
        let pointer = &self.pointer;
        // SAFETY: reads the pointer.
        unsafe {
            cpp!([pointer as "const QPointer<QObject> *"] -> *mut c_void as "QObject \
                *" { return pointer->data(); })
        }
    }

    /// Whether the object is gone, or never was.
    pub fn is_null(&self) -> bool {
        self.as_ptr().is_null()
    }

    /// The value of a property; an invalid one if there is no such property.
    pub fn property(&self, name: &str) -> QVariant {
        let (object, name) = (self.as_ptr(), QString::from(name));
        // SAFETY: the object lives or is null, and this is its thread.
        unsafe {
            cpp!([object as "QObject *", name as "QString"] -> QVariant as "QVariant" {
                return object ? object->property(name.toUtf8().constData()) : QVariant();
            })
        }
    }

    /// Sets a property. Whether there is such a property and it takes the value.
    pub fn set_property(&self, name: &str, value: impl Into<QVariant>) -> bool {
        let (object, name, value): (_, _, QVariant) =
            (self.as_ptr(), QString::from(name), value.into());
        // SAFETY: the object lives or is null, and this is its thread.
        unsafe {
            cpp!([object as "QObject *", name as "QString", value as "QVariant"] -> bool as "bool" {
                return object && object->setProperty(name.toUtf8().constData(), value);
            })
        }
    }

    /// The emissions of a signal from now on, named as for [`qt::connect`](crate::qt::connect): a
    /// signal of its class, one that is declared in QML, or a property's (`widthChanged`).
    ///
    /// # Errors
    /// If the object is gone or has no such signal.
    pub fn emissions(&self, signal: &str) -> Result<Emissions, SignalError> {
        let sender = self.sender()?;
        // SAFETY: the object lives, and this is its thread.
        unsafe { Emissions::new(sender, signal) }.map_err(SignalError::NoSuchSignal)
    }

    /// The next emission of a signal, beginning now. As [`emissions`](ObjectRef::emissions).
    ///
    /// # Errors
    /// If the object is gone or has no such signal.
    pub fn emitted(&self, signal: &str) -> Result<Emitted, SignalError> {
        let sender = self.sender()?;
        // SAFETY: the object lives, and this is its thread.
        unsafe { emitted(sender, signal) }.map_err(SignalError::NoSuchSignal)
    }

    /// Waits until the object is destroyed, beginning now. It is ready at once if the object is
    /// gone.
    pub fn destroyed(&self) -> impl Future<Output = ()> + use<> {
        let destroyed = self.emitted("destroyed(QObject*)");
        async move {
            if let Ok(destroyed) = destroyed {
                // Either outcome says so.
                let _arguments = destroyed.await;
            }
        }
    }

    fn sender(&self) -> Result<*mut c_void, SignalError> {
        let sender = self.as_ptr();
        if sender.is_null() { Err(SignalError::Gone) } else { Ok(sender) }
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectRef").field(&self.as_ptr()).finish()
    }
}

impl<T: QObject + ?Sized> From<&T> for ObjectRef {
    fn from(object: &T) -> ObjectRef {
        // SAFETY: the C++ half lives as long as the object, on its thread.
        unsafe { ObjectRef::from_ptr(object.get_cpp_object()) }
    }
}

/// Makes the object's C++ half if it has none.
impl<T: QObject> From<QObjectPinned<'_, T>> for ObjectRef {
    fn from(object: QObjectPinned<'_, T>) -> ObjectRef {
        // SAFETY: as above.
        unsafe { ObjectRef::from_ptr(object.get_or_create_cpp_object()) }
    }
}

impl<T: QObject + ?Sized> From<QPointer<T>> for ObjectRef {
    fn from(object: QPointer<T>) -> ObjectRef {
        // SAFETY: it is null when the object is gone.
        unsafe { ObjectRef::from_ptr(object.cpp_ptr()) }
    }
}

/// Why there is nothing to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalError {
    /// The object is gone.
    Gone,
    /// Its class has no such signal.
    NoSuchSignal(NoSuchSignal),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignalError::Gone => f.write_str("the object is gone"),
            SignalError::NoSuchSignal(error) => error.fmt(f),
        }
    }
}

impl Error for SignalError {}

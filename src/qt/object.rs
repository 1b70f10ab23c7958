//! A `QObject` of our own.

use std::ffi::c_void;
use std::marker::PhantomData;

use cpp::cpp;

cpp! {{
    #include <QtCore/QObject>
    #include <QtCore/QString>
}}

/// A plain `QObject` without a parent, deleted when dropped. It belongs to the thread that made it.
/// Its signals are `objectNameChanged(QString)` and `destroyed(QObject*)`.
pub struct Object {
    object: *mut c_void,
    thread_bound: PhantomData<*const ()>,
}

impl Object {
    /// Makes an object.
    pub fn new() -> Object {
        // SAFETY: creates a Qt object on this thread.
        let object = unsafe { cpp!([] -> *mut c_void as "QObject *" { return new QObject; }) };
        Object { object, thread_bound: PhantomData }
    }

    /// The `QObject *`, for as long as this lives.
    pub fn as_ptr(&self) -> *mut c_void {
        self.object
    }

    /// Sets the object's name. Emits `objectNameChanged(QString)` if it was another one.
    pub fn set_object_name(&self, name: &str) {
        let object = self.object;
        let units: Vec<u16> = name.encode_utf16().collect();
        let (data, size) = (units.as_ptr(), units.len());
        // SAFETY: the object lives as long as `self`, and this is its thread; `data` are `size`
        // units.
        unsafe {
            cpp!([object as "QObject *", data as "const char16_t *", size as "size_t"] {
                object->setObjectName(QString::fromUtf16(data, int(size)));
            })
        }
    }
}

impl Default for Object {
    fn default() -> Object {
        Object::new()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let object = self.object;
        // SAFETY: made by `new`, deleted once, on its thread. Nobody is in one of our methods, so
        // none of them emits.
        unsafe { cpp!([object as "QObject *"] { delete object; }) }
    }
}

//! What the arguments of Qt's signals hold.

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;

use std::ffi::c_void;
use std::ptr;
use std::slice;

use cpp::cpp;

cpp! {{
    #include "value.h"
    #include "value.cpp"
}}

/// An argument of a signal, copied. What a `QVariant` holds stands for the variant itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An invalid `QVariant`, a null `QObject *` or a `nullptr`.
    Null,
    /// A `bool`.
    Bool(bool),
    /// A signed integer of any size, or an enumeration. With Qt 5 an enumeration that is not known
    /// to Qt's meta-type system is [`Other`](Value::Other), and so are flags.
    Int(i64),
    /// An unsigned integer of any size.
    UInt(u64),
    /// A `float` or a `double`.
    Double(f64),
    /// A `QString` or a `QChar`. Half a surrogate pair becomes U+FFFD.
    String(String),
    /// A `QByteArray`.
    Bytes(Vec<u8>),
    /// A `QObject *` or a pointer to a class derived from it; points to the `QObject`. Nothing
    /// keeps the object alive.
    Object(*mut c_void),
    /// A `QVariantList`, a `QStringList` or a `QByteArrayList`.
    List(Vec<Value>),
    /// Any other type; its name.
    Other(String),
}

/// As `qtloop::Piece`.
#[repr(C)]
struct Piece {
    kind: u32,
    integer: i64,
    real: f64,
    data: *const c_void,
    size: u64,
}

impl Piece {
    /// # Safety
    /// The piece is as C++ describes it, and what it points to is there.
    unsafe fn value(&self) -> Value {
        match self.kind {
            0 => Value::Null,
            1 => Value::Bool(self.integer != 0),
            2 => Value::Int(self.integer),
            3 => Value::UInt(self.integer.cast_unsigned()),
            4 => Value::Double(self.real),
            // SAFETY: a string's data are UTF-16 units.
            5 => Value::String(String::from_utf16_lossy(unsafe { self.slice() })),
            // SAFETY: these data are bytes.
            6 => Value::Bytes(unsafe { self.slice() }.to_vec()),
            7 => Value::Object(self.data.cast_mut()),
            8 => Value::List(Vec::new()),
            // SAFETY: the name's data are bytes.
            _ => Value::Other(String::from_utf8_lossy(unsafe { self.slice() }).into_owned()),
        }
    }

    /// # Safety
    /// `size` values of `T` are at `data`, for as long as the slice is used.
    unsafe fn slice<T>(&self) -> &[T] {
        match usize::try_from(self.size) {
            // SAFETY: the caller's promise.
            Ok(size) if size > 0 => unsafe { slice::from_raw_parts(self.data.cast(), size) },
            _ => &[],
        }
    }
}

/// Appends a value to the vector `into`. Returns the vector of its elements if it is a list, else
/// null.
///
/// # Safety
/// `into` is a `Vec<Value>` that nobody else uses. `piece` is as C++ describes it. The vector that
/// is returned may be used until `into` is.
pub unsafe extern "C" fn put(into: *mut c_void, piece: *const c_void) -> *mut c_void {
    // SAFETY: the caller's promise.
    let (into, piece) = unsafe { (&mut *into.cast::<Vec<Value>>(), &*piece.cast::<Piece>()) };
    // SAFETY: the caller's promise.
    into.push(unsafe { piece.value() });
    match into.last_mut() {
        Some(Value::List(elements)) => ptr::from_mut(elements).cast(),
        _ => ptr::null_mut(),
    }
}

/// The type of [`put`].
pub type Put = unsafe extern "C" fn(*mut c_void, *const c_void) -> *mut c_void;

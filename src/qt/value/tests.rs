//! Every kind of value, from a `QVariant` that C++ makes.

use std::ffi::c_void;
use std::ptr;

use cpp::cpp;

use super::{Put, Value, put};

cpp! {{
    #include <QtCore/QByteArrayList>
    #include <QtCore/QObject>
    #include <QtCore/QStringList>
    #include <QtCore/QUrl>
    #include <QtCore/QVariant>
    #include <climits>

    // One value of the type, and one such value in a QVariant.
    template <typename T>
    static void putBoth(const T &value, void *into, qtloop::Put put)
    {
        const QVariant variant = QVariant::fromValue(value);
        qtloop::putValue(qMetaTypeId<T>(), &value, into, put);
        qtloop::putValue(QMetaType::QVariant, &variant, into, put);
    }
}}

/// Has C++ put the values that it makes twice, by themselves and in a `QVariant`; they are the same
/// then.
fn read(make: impl FnOnce(*mut c_void, Put)) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    make(ptr::from_mut(&mut values).cast(), put);
    let pairs: Vec<_> = values.chunks(2).collect();
    assert!(pairs.iter().all(|pair| pair[0] == pair[1]), "{pairs:?}");
    values.into_iter().step_by(2).collect()
}

#[test]
fn integers_keep_their_sign_and_their_size() {
    let values = read(|into, put| {
        // SAFETY: `into` and `put` belong together.
        unsafe {
            cpp!([into as "void *", put as "qtloop::Put"] {
                putBoth<signed char>(-1, into, put);
                putBoth<short>(SHRT_MIN, into, put);
                putBoth<int>(INT_MIN, into, put);
                putBoth<long>(LONG_MIN, into, put);
                putBoth<qlonglong>(LLONG_MIN, into, put);
                putBoth<uchar>(UCHAR_MAX, into, put);
                putBoth<ushort>(USHRT_MAX, into, put);
                putBoth<uint>(UINT_MAX, into, put);
                putBoth<ulong>(ULONG_MAX, into, put);
                putBoth<qulonglong>(ULLONG_MAX, into, put);
            })
        }
    });
    let signed = [-1, i16::MIN.into(), i32::MIN.into(), i64::MIN, i64::MIN].map(Value::Int);
    let unsigned =
        [u8::MAX.into(), u16::MAX.into(), u32::MAX.into(), u64::MAX, u64::MAX].map(Value::UInt);
    assert_eq!(values, [signed, unsigned].concat());
}

#[test]
fn truth_fractions_and_enumerations() {
    let values = read(|into, put| {
        // SAFETY: `into` and `put` belong together.
        unsafe {
            cpp!([into as "void *", put as "qtloop::Put"] {
                putBoth<bool>(true, into, put);
                putBoth<bool>(false, into, put);
                putBoth<float>(0.5f, into, put);
                putBoth<double>(-0.1, into, put);
                putBoth<Qt::CaseSensitivity>(Qt::CaseSensitive, into, put);
            })
        }
    });
    let fractions = [Value::Double(0.5), Value::Double(-0.1)];
    assert_eq!(
        values,
        [&[Value::Bool(true), Value::Bool(false)][..], &fractions, &[Value::Int(1)]].concat()
    );
}

#[test]
fn text_and_bytes() {
    let values = read(|into, put| {
        // SAFETY: `into` and `put` belong together.
        unsafe {
            cpp!([into as "void *", put as "qtloop::Put"] {
                putBoth<QString>(QString::fromUtf8("é🦀"), into, put);
                putBoth<QString>(QString(), into, put);
                putBoth<QString>(QString(QChar(0xd800)), into, put);
                putBoth<QChar>(QChar('x'), into, put);
                putBoth<QByteArray>(QByteArray("a\0b", 3), into, put);
                putBoth<QByteArray>(QByteArray(), into, put);
            })
        }
    });
    let text = ["é🦀", "", "\u{fffd}", "x"].map(|text| Value::String(text.into()));
    assert_eq!(
        values,
        [&text[..], &[Value::Bytes(b"a\0b".to_vec()), Value::Bytes(Vec::new())]].concat()
    );
}

#[test]
fn objects_and_nothing() {
    let mut address = ptr::null_mut::<c_void>();
    let address_of = &raw mut address;
    let values = read(|into, put| {
        // SAFETY: `into` and `put` belong together; the address may be written.
        unsafe {
            cpp!([into as "void *", put as "qtloop::Put", address_of as "void **"] {
                QObject object;
                *address_of = &object;
                putBoth<QObject *>(&object, into, put);
                putBoth<QObject *>(nullptr, into, put);
                putBoth<std::nullptr_t>(nullptr, into, put);
                putBoth<QVariant>(QVariant(), into, put);
            })
        }
    });
    assert_eq!(values, [Value::Object(address), Value::Null, Value::Null, Value::Null]);
}

#[test]
fn lists_in_lists_and_other_types() {
    let values = read(|into, put| {
        // SAFETY: `into` and `put` belong together.
        unsafe {
            cpp!([into as "void *", put as "qtloop::Put"] {
                putBoth<QStringList>({ "a", "b" }, into, put);
                putBoth<QByteArrayList>({ "c" }, into, put);
                const QVariantList inner = { QVariant(), QStringList() };
                QVariantList outer = { 1 };
                outer.append(QVariant(inner));
                outer.append(2.0);
                putBoth<QVariantList>(outer, into, put);
                putBoth<QUrl>(QUrl(), into, put);
                putBoth<QVariantMap>(QVariantMap(), into, put);
            })
        }
    });
    let strings = Value::List(["a", "b"].map(|text| Value::String(text.into())).into());
    let bytes = Value::List(vec![Value::Bytes(b"c".to_vec())]);
    let inner = Value::List(vec![Value::Null, Value::List(Vec::new())]);
    let outer = Value::List(vec![Value::Int(1), inner, Value::Double(2.0)]);
    let others = ["QUrl", "QVariantMap"].map(|name| Value::Other(name.into()));
    assert_eq!(values, [&[strings, bytes, outer][..], &others].concat());
}

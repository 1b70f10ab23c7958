//! The arguments of a model's signals: several in a signal, default ones, and types that only the
//! sender's class knows.

use std::cell::RefCell;
use std::ffi::c_void;
use std::rc::Rc;

use cpp::cpp;

use super::{Emission, connect};
use crate::qt::Value;

cpp! {{
    #include <QtCore/QStringListModel>
}}

/// What `signal` tells when a model of strings gets three rows, and is sorted.
fn emitted(signal: &str) -> Vec<Emission> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let on = {
        let log = Rc::clone(&log);
        move |emission| log.borrow_mut().push(emission)
    };
    // SAFETY: creates a Qt object on this thread.
    let model = unsafe { cpp!([] -> *mut c_void as "QObject *" { return new QStringListModel; }) };
    // SAFETY: the model lives, on this thread.
    let connection = unsafe { connect(model, signal, on) };
    // SAFETY: made above, deleted once.
    unsafe {
        cpp!([model as "QStringListModel *"] {
            model->insertRows(0, 3);
            model->sort(0);
            delete model;
        })
    }
    drop(connection.expect("there is such a signal"));
    log.take()
}

fn other(name: &str) -> Value {
    Value::Other(name.into())
}

#[test]
fn arguments_keep_their_order() {
    let arguments = vec![other("QModelIndex"), Value::Int(0), Value::Int(2)];
    let expected = [Emission::Values(arguments), Emission::Destroyed];
    assert_eq!(emitted("rowsInserted(QModelIndex,int,int)"), expected);
    assert_eq!(emitted("rowsInserted"), expected);
}

#[test]
fn default_arguments_are_told_if_they_are_named() {
    // SAFETY: reads a constant.
    let qt = unsafe { cpp!([] -> u32 as "quint32" { return QT_VERSION_MAJOR; }) };
    // Qt 5 does not register this enumeration.
    let vertical_sort =
        if qt == 5 { other("QAbstractItemModel::LayoutChangeHint") } else { Value::Int(1) };
    let parents = other("QList<QPersistentModelIndex>");
    let expected = |arguments| [Emission::Values(arguments), Emission::Destroyed];
    assert_eq!(emitted("layoutChanged()"), expected(vec![]));
    assert_eq!(
        emitted("layoutChanged(QList<QPersistentModelIndex>)"),
        expected(vec![parents.clone()])
    );
    assert_eq!(emitted("layoutChanged"), expected(vec![parents, vertical_sort]));
}

//! Streams as models for QML's views.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use cpp::cpp;
use futures::{Stream, StreamExt};
use qmetaobject::listmodel::SimpleListItem;
use qmetaobject::{
    QAbstractListModel, QByteArray, QModelIndex, QObject, QObjectPinned, QPointer, QVariant,
    USER_ROLE, qt_base_class,
};

use super::lifetime::{Destroyed, spawn_for};
use crate::task::JoinHandle;

cpp! {{
    #include <QtCore/QAbstractListModel>

    namespace qtloop {

    // What tells the views which rows change is for derived classes only.
    struct Rows : QAbstractItemModel {
        static constexpr auto beginInsert = &Rows::beginInsertRows;
        static constexpr auto endInsert = &Rows::endInsertRows;
        static constexpr auto beginRemove = &Rows::beginRemoveRows;
        static constexpr auto endRemove = &Rows::endRemoveRows;
    };

    } // namespace qtloop
}}

/// A list model of what streams give, for a `ListView` or a `Repeater`.
///
/// The roles are those of its items: their public fields, by `#[derive(SimpleListItem)]`.
///
/// ```no_run
/// use std::time::Duration;
/// use futures::StreamExt;
/// use qmetaobject::{QObjectBox, SimpleListItem, prelude::*};
/// use qtloop::{interval, qml::StreamModel};
///
/// #[derive(SimpleListItem)]
/// struct Beat {
///     pub number: u32,
/// }
///
/// fn show(engine: &mut QmlEngine) -> QObjectBox<StreamModel<Beat>> {
///     let beats = QObjectBox::new(StreamModel::with_limit(100));
///     engine.set_object_property("beats".into(), beats.pinned());
///     // ListView { model: beats; delegate: Text { text: number } }
///     engine.load_file("beats.qml".into());
///     let stream = interval(Duration::from_secs(1)).enumerate();
///     let stream = stream.map(|(number, _)| Beat { number: number as u32 });
///     StreamModel::feed(beats.pinned(), stream).detach();
///     beats
/// }
/// ```
#[derive(QObject)]
pub struct StreamModel<T: SimpleListItem + 'static> {
    base: qt_base_class!(trait QAbstractListModel),
    rows: RefCell<VecDeque<T>>,
    limit: usize,
}

impl<T: SimpleListItem + 'static> StreamModel<T> {
    /// An empty model that keeps every item.
    pub fn new() -> StreamModel<T> {
        // Qt counts rows in an int.
        StreamModel::with_limit(i32::MAX as usize)
    }

    /// An empty model that keeps the newest items: `limit` of them, and at least one.
    pub fn with_limit(limit: usize) -> StreamModel<T> {
        StreamModel {
            base: Default::default(),
            rows: RefCell::default(),
            limit: limit.clamp(1, i32::MAX as usize),
        }
    }

    /// Appends each item of `items`, until the stream or the model ends. A model may have several
    /// such tasks.
    ///
    /// # Panics
    /// If no loop runs on this thread or is attached to it.
    #[track_caller]
    pub fn feed<S>(model: QObjectPinned<'_, Self>, items: S) -> JoinHandle<Result<(), Destroyed>>
    where
        S: Stream<Item = T> + 'static,
    {
        model.get_or_create_cpp_object();
        let pointer = QPointer::from(model.borrow());
        spawn_for(model, async move {
            let mut items = pin!(items);
            while let Some(item) = items.next().await {
                let Some(model) = pointer.as_ref() else { return };
                model.push(item);
            }
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.borrow().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a row, and removes the oldest ones that are too many then.
    pub fn push(&self, item: T) {
        self.remove_oldest(self.limit - 1);
        self.begin_insert(self.len());
        self.rows.borrow_mut().push_back(item);
        self.end_insert();
    }

    /// Removes all rows.
    pub fn clear(&self) {
        self.remove_oldest(0);
    }

    /// Removes the oldest rows until `left` are left.
    fn remove_oldest(&self, left: usize) {
        let count = self.len().saturating_sub(left);
        if count == 0 {
            return;
        }
        self.begin_remove(count);
        let removed: Vec<T> = self.rows.borrow_mut().drain(..count).collect();
        self.end_remove();
        drop(removed);
    }

    fn begin_insert(&self, row: usize) {
        let (model, row) = (self.base.get(), row as i32);
        // SAFETY: null, or the C++ half, which lives as long as this, on this thread. It may come
        // back in: nothing is borrowed.
        unsafe {
            cpp!([model as "QAbstractListModel *", row as "int"] {
                if (model)
                    (model->*qtloop::Rows::beginInsert)(QModelIndex(), row, row);
            })
        }
    }

    fn end_insert(&self) {
        let model = self.base.get();
        // SAFETY: as in `begin_insert`.
        unsafe {
            cpp!([model as "QAbstractListModel *"] {
                if (model)
                    (model->*qtloop::Rows::endInsert)();
            })
        }
    }

    fn begin_remove(&self, count: usize) {
        let (model, last) = (self.base.get(), count as i32 - 1);
        // SAFETY: as in `begin_insert`.
        unsafe {
            cpp!([model as "QAbstractListModel *", last as "int"] {
                if (model)
                    (model->*qtloop::Rows::beginRemove)(QModelIndex(), 0, last);
            })
        }
    }

    fn end_remove(&self) {
        let model = self.base.get();
        // SAFETY: as in `begin_insert`.
        unsafe {
            cpp!([model as "QAbstractListModel *"] {
                if (model)
                    (model->*qtloop::Rows::endRemove)();
            })
        }
    }
}

impl<T: SimpleListItem + 'static> QAbstractListModel for StreamModel<T> {
    fn row_count(&self) -> i32 {
        self.len() as i32
    }

    fn data(&self, index: QModelIndex, role: i32) -> QVariant {
        let row = usize::try_from(index.row()).ok();
        let rows = self.rows.borrow();
        row.and_then(|row| rows.get(row)).map(|item| item.get(role - USER_ROLE)).unwrap_or_default()
    }

    fn role_names(&self) -> HashMap<i32, QByteArray> {
        (USER_ROLE..).zip(T::names()).collect()
    }
}

impl<T: SimpleListItem + 'static> Default for StreamModel<T> {
    fn default() -> StreamModel<T> {
        StreamModel::new()
    }
}

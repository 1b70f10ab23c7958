//! Futures in QML applications: promises, tasks with the life of an object, signals, models,
//! properties.
//!
//! Each test is an application of its own. They run one after the other on the main thread, as Qt
//! wants it.
#![allow(clippy::expect_used)]
// What `derive(QObject)` makes of a signal with arguments.
#![allow(clippy::useless_transmute)]

use std::cell::{Cell, RefCell};
use std::env;
use std::error::Error;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{FutureExt, StreamExt, stream};
use qmetaobject::{
    QJSValue, QMetaType, QObject, QObjectBox, QPointer, QString, QVariant, QVariantMap, QmlEngine,
    SimpleListItem, qt_base_class, qt_method, qt_property, qt_signal,
};
use qtloop::driver::RunError;
use qtloop::qml::{self, Destroyed, ObjectRef, SignalError, StreamModel};
use qtloop::qt::{QtHost, Value};
use qtloop::{EventLoop, LocalHandle, sleep, spawn_local, timeout, yield_now};

const TESTS: &[(&str, fn())] = &[
    ("promises_resolve", promises_resolve),
    ("promises_reject", promises_reject),
    ("a_promise_rejects_when_its_object_goes", a_promise_rejects_when_its_object_goes),
    ("a_promise_may_outlive_the_engine", a_promise_may_outlive_the_engine),
    ("a_promise_needs_no_engine", a_promise_needs_no_engine),
    ("tasks_end_with_an_object_of_rust", tasks_end_with_an_object_of_rust),
    ("tasks_end_with_an_object_of_qml", tasks_end_with_an_object_of_qml),
    ("tasks_of_a_null_reference_end_at_once", tasks_of_a_null_reference_end_at_once),
    ("signals_declared_in_qml", signals_declared_in_qml),
    ("signals_of_rust", signals_of_rust),
    ("rows_of_a_stream", rows_of_a_stream),
    ("the_newest_rows", the_newest_rows),
    ("a_property_is_driven", a_property_is_driven),
    ("the_exit_code", the_exit_code),
    ("nothing_runs_after_an_error", nothing_runs_after_an_error),
];

fn main() {
    if env::var_os("QT_QPA_PLATFORM").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { env::set_var("QT_QPA_PLATFORM", "offscreen") };
    }
    let wanted: Vec<String> =
        env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| is_wanted(name)) {
        let outcome = catch_unwind(test);
        failed += i32::from(outcome.is_err());
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
    }
    std::process::exit(failed.min(1));
}

/// What QML knows as `backend`.
#[derive(QObject, Default)]
struct Backend {
    base: qt_base_class!(trait QObject),
    double: qt_method!(fn(&self, number: i32) -> QJSValue),
    greet: qt_method!(fn(&self) -> QJSValue),
    nothing: qt_method!(fn(&self) -> QJSValue),
    record: qt_method!(fn(&self) -> QJSValue),
    fail: qt_method!(fn(&self) -> QJSValue),
    panic: qt_method!(fn(&self) -> QJSValue),
    wait: qt_method!(fn(&self) -> QJSValue),
    level: qt_property!(i32; NOTIFY level_changed),
    level_changed: qt_signal!(),
    add: qt_method!(fn(&self, number: i32)),
    sum: i32,
    named: qt_signal!(name: QString, number: i32),
}

impl Backend {
    fn double(&self, number: i32) -> QJSValue {
        qml::promise(self, async move {
            sleep(Duration::from_millis(1)).await;
            Ok::<_, String>(2 * number)
        })
    }

    fn greet(&self) -> QJSValue {
        qml::promise(self, async { Ok::<_, String>(QString::from("hello 🦀")) })
    }

    fn nothing(&self) -> QJSValue {
        qml::promise(self, async { Ok::<_, String>(()) })
    }

    fn record(&self) -> QJSValue {
        let record: QVariantMap =
            [(QString::from("a"), QVariant::from(1)), ("b".into(), true.into())].into();
        qml::promise(self, async { Ok::<_, String>(QVariant::from(record)) })
    }

    fn fail(&self) -> QJSValue {
        qml::promise(self, async { Err::<i32, _>("it failed") })
    }

    fn panic(&self) -> QJSValue {
        qml::promise(self, async {
            if env::args().count() > 0 {
                panic!("it panicked");
            }
            Ok::<_, String>(1)
        })
    }

    fn wait(&self) -> QJSValue {
        qml::promise(self, pending::<Result<i32, String>>())
    }

    /// Borrows the object, as Rust code may that QML calls.
    fn add(&self, number: i32) {
        let object = QPointer::from(self);
        object.as_pinned().expect("it lives").borrow_mut().sum += number;
    }
}

type Shared<T> = Rc<RefCell<Option<QObjectBox<T>>>>;

/// Shows `qml` with `backend`, and plays `play` beside it. It gets the backend, which it may drop,
/// and the root object.
fn stage<T: QObject + 'static>(
    backend: T,
    qml: &str,
    play: impl AsyncFnOnce(Shared<T>, ObjectRef) + 'static,
) {
    let outcome = Rc::new(Cell::new(None));
    let to = Rc::clone(&outcome);
    let code = qml::run(move |engine| -> Result<_, RunError> {
        let backend = QObjectBox::new(backend);
        engine.set_object_property("backend".into(), backend.pinned());
        let backend = Rc::new(RefCell::new(Some(backend)));
        engine.load_data(format!("import QtQml 2.15\nimport QtQuick 2.15\n{qml}").as_str().into());
        let root = ObjectRef::root(engine);
        assert!(!root.is_null(), "the QML is sound");
        let shared = Rc::clone(&backend);
        let play = async move {
            let play = timeout(Duration::from_secs(20), play(shared, root));
            to.set(Some(AssertUnwindSafe(play).catch_unwind().await));
            LocalHandle::current().stop();
        };
        spawn_local(play).detach();
        Ok(backend)
    });
    assert_eq!(code.expect("it runs"), 0);
    match outcome.take().expect("it was played to the end") {
        Ok(played) => played.expect("it ended in time"),
        Err(panic) => resume_unwind(panic),
    }
}

/// The text of an emission's first argument.
fn text(values: &[Value]) -> &str {
    match values {
        [Value::String(text), ..] => text,
        _ => panic!("a text should come first in {values:?}"),
    }
}

const ASKING: &str = r#"
    QtObject {
        signal settled(string outcome)
        function tell(promise) {
            promise.then(value => settled(typeof value + " " + JSON.stringify(value)),
                         error => settled((error instanceof Error) + " " + error.message))
        }
        WHEN
    }"#;

/// What comes of the promises that QML asks for.
fn outcomes(questions: &[&str]) -> Vec<String> {
    let asked: Vec<String> =
        questions.iter().map(|question| format!("tell(backend.{question})")).collect();
    // On a signal, so that nothing is settled before somebody hears.
    let when = "property var asking: Connections { target: backend; function onNamed() { ASKED } }";
    let qml = ASKING.replace("WHEN", &when.replace("ASKED", &asked.join("; ")));
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let (to, count) = (Rc::clone(&outcomes), questions.len());
    stage(Backend::default(), &qml, async move |backend, root| {
        let settled = root.emissions("settled").expect("it is declared");
        backend.borrow().as_ref().expect("it is there").pinned().borrow().named("ask".into(), 0);
        let texts = settled.take(count).map(|values| text(&values).to_owned());
        *to.borrow_mut() = texts.collect().await;
    });
    outcomes.take()
}

fn promises_resolve() {
    assert_eq!(outcomes(&["double(21)"]), ["number 42"]);
    assert_eq!(outcomes(&["greet()"]), ["string \"hello 🦀\""]);
    assert_eq!(outcomes(&["nothing()"]), ["undefined undefined"]);
    assert_eq!(outcomes(&["record()"]), [r#"object {"a":1,"b":true}"#]);
    assert_eq!(outcomes(&["double(1)", "double(2)", "greet()"]).len(), 3);
}

fn promises_reject() {
    assert_eq!(outcomes(&["fail()"]), ["true it failed"]);
    assert_eq!(outcomes(&["panic()"]), ["true the task panicked: it panicked"]);
}

fn a_promise_rejects_when_its_object_goes() {
    let qml = ASKING.replace("WHEN", "Component.onCompleted: tell(backend.wait())");
    stage(Backend::default(), &qml, async |backend, root| {
        let settled = root.emitted("settled").expect("it is declared");
        drop(backend.take());
        let outcome = settled.await.expect("the root object lives");
        assert_eq!(text(&outcome), "true the object was destroyed");
    });
}

fn a_promise_may_outlive_the_engine() {
    let backend = QObjectBox::new(Backend::default());
    let mut engine = QmlEngine::new();
    let event_loop = EventLoop::new(QtHost::new()).expect("a file descriptor");
    let attachment = event_loop.attach().expect("there is an application");
    engine.set_object_property("backend".into(), backend.pinned());
    engine.load_data("import QtQml 2.15\nQtObject { property var promise: backend.wait() }".into());
    assert!(!ObjectRef::root(&engine).is_null());
    drop(attachment);
    drop(engine);
    drop(event_loop);
}

fn a_promise_needs_no_engine() {
    stage(Backend::default(), "QtObject {}", async |_, _| {
        let stranger = QObjectBox::new(Backend::default());
        let (feed, mut done) = unbounded();
        let answer = qml::promise(stranger.pinned(), async move {
            feed.unbounded_send(()).expect("somebody waits");
            Ok::<_, String>(1)
        });
        assert_eq!(answer.to_string(), "undefined".into());
        assert_eq!(done.next().await, Some(()), "the task runs");
    });
}

/// Tells when it is dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// A future without end, and what tells that it was dropped.
fn endless() -> (impl Future<Output = ()>, Rc<Cell<bool>>) {
    let is_dropped = Rc::new(Cell::new(false));
    let guard = Dropped(Rc::clone(&is_dropped));
    let future = async move {
        let _guard = guard;
        pending().await
    };
    (future, is_dropped)
}

fn tasks_end_with_an_object_of_rust() {
    stage(Backend::default(), "QtObject {}", async |backend, root| {
        let (future, is_dropped) = endless();
        let object = backend
            .borrow()
            .as_ref()
            .map(|backend| ObjectRef::from(backend.pinned()))
            .expect("it is there");
        let task = qml::spawn_for(object.clone(), future);
        assert_eq!(qml::spawn_for(object.clone(), async { 7 }).await.expect("no panic"), Ok(7));
        let (other, other_is_dropped) = endless();
        let other = qml::spawn_for(root, other);
        yield_now().await;
        assert!(!is_dropped.get() && !object.is_null());
        drop(backend.take());
        assert!(object.is_null());
        assert_eq!(task.await.expect("no panic"), Err(Destroyed));
        assert!(is_dropped.get() && !other_is_dropped.get());
        drop(other);
    });
}

fn tasks_end_with_an_object_of_qml() {
    let qml = r#"
        Item {
            property Component component: Component { QtObject {} }
            property var child: component.createObject(this, { objectName: "child" })
            property bool doomed: false
            onDoomedChanged: child.destroy()
        }"#;
    stage(Backend::default(), qml, async |_, root| {
        let child = root.find("child");
        assert!(!child.is_null() && root.find("nobody").is_null());
        let (future, is_dropped) = endless();
        let task = qml::spawn_for(child.clone(), future);
        yield_now().await;
        assert!(root.set_property("doomed", true));
        assert_eq!(task.await.expect("no panic"), Err(Destroyed));
        assert!(is_dropped.get() && child.is_null());
        child.destroyed().await;
    });
}

fn tasks_of_a_null_reference_end_at_once() {
    stage(Backend::default(), "QtObject {}", async |_, _| {
        let (future, is_dropped) = endless();
        assert_eq!(
            qml::spawn_for(ObjectRef::default(), future).await.expect("no panic"),
            Err(Destroyed)
        );
        assert!(is_dropped.get());
        assert_eq!(
            qml::spawn_for(&Backend::default(), async {}).await.expect("no panic"),
            Err(Destroyed)
        );
    });
}

fn signals_declared_in_qml() {
    let qml = r#"
        Item {
            property int rounds: 0
            onRoundsChanged: inner.finished("round", rounds, [1, true])
            Item { Item {
                id: inner
                objectName: "inner"
                signal finished(string what, int round, var list)
            } }
        }"#;
    stage(Backend::default(), qml, async |_, root| {
        let inner = root.find("inner");
        assert!(matches!(inner.emitted("unknown"), Err(SignalError::NoSuchSignal(_))));
        assert!(matches!(ObjectRef::default().emitted("finished"), Err(SignalError::Gone)));
        let mut finished = inner.emissions("finished").expect("it is declared");
        let changed = root.emitted("roundsChanged()").expect("a property's signal");
        assert!(root.set_property("rounds", 1) && root.set_property("rounds", 2));
        assert_eq!(changed.await.expect("the root lives"), []);
        let first = finished.next().await.expect("an emission");
        assert_eq!(first[..2], [Value::String("round".into()), Value::Int(1)]);
        let second = finished.next().await.expect("an emission");
        assert_eq!(second[..2], [Value::String("round".into()), Value::Int(2)]);
        assert_eq!(i32::from_qvariant(root.property("rounds")), Some(2));
    });
}

fn signals_of_rust() {
    stage(Backend::default(), "QtObject {}", async |backend, _| {
        let mut named = {
            let backend = backend.borrow();
            let pinned = backend.as_ref().expect("it is there").pinned();
            let named = ObjectRef::from(pinned).emissions("named").expect("a signal");
            pinned.borrow().named("one".into(), 1);
            pinned.borrow().named("two".into(), 2);
            named
        };
        assert_eq!(named.next().await, Some(vec![Value::String("one".into()), Value::Int(1)]));
        drop(backend.take());
        assert_eq!(named.next().await, Some(vec![Value::String("two".into()), Value::Int(2)]));
        assert_eq!(named.next().await, None);
    });
}

#[derive(SimpleListItem)]
struct Row {
    pub name: QString,
    pub number: i32,
}

fn row(number: i32) -> Row {
    Row { name: format!("row {number}").into(), number }
}

const LIST: &str = r#"
    Item {
        id: root
        signal added(int index, string row)
        signal removed(int index)
        property int count: rows.count
        property string all: ""
        Repeater {
            id: rows
            model: backend
            delegate: Item { property string row: name + "/" + number }
            onItemAdded: (index, item) => root.added(index, item.row)
            onItemRemoved: (index, item) => root.removed(index)
        }
        function read() {
            let all = []
            for (let i = 0; i < rows.count; ++i) all.push(rows.itemAt(i).row)
            return all.join()
        }
        onAdded: all = read()
    }"#;

/// Feeds the model that is shown.
fn feed(
    model: &Shared<StreamModel<Row>>,
    rows: UnboundedReceiver<i32>,
) -> qtloop::JoinHandle<Result<(), Destroyed>> {
    let model = model.borrow();
    StreamModel::feed(model.as_ref().expect("it is there").pinned(), rows.map(row))
}

fn rows_of_a_stream() {
    stage(StreamModel::<Row>::new(), LIST, async |model, root| {
        let mut added = root.emissions("added").expect("it is declared");
        let (numbers, stream) = unbounded();
        let fed = feed(&model, stream);
        for number in 0..3 {
            numbers.unbounded_send(number).expect("it is fed");
            let row = Value::String(format!("row {number}/{number}"));
            assert_eq!(added.next().await, Some(vec![Value::Int(number.into()), row]));
        }
        drop(numbers);
        assert_eq!(fed.await.expect("no panic"), Ok(()), "it ends with the stream");
        assert_eq!(root.property("all").to_qbytearray().to_string(), "row 0/0,row 1/1,row 2/2");

        let (numbers, stream) = unbounded();
        let fed = feed(&model, stream);
        drop(model.take());
        assert_eq!(fed.await.expect("no panic"), Err(Destroyed), "it ends with the model");
        assert!(numbers.unbounded_send(1).is_err(), "the stream is dropped");
    });
}

fn the_newest_rows() {
    stage(StreamModel::<Row>::with_limit(2), LIST, async |model, root| {
        let mut added = root.emissions("added").expect("it is declared");
        let (numbers, stream) = unbounded();
        feed(&model, stream).detach();
        for number in 0..5 {
            numbers.unbounded_send(number).expect("it is fed");
            added.next().await.expect("an emission");
        }
        assert_eq!(root.property("all").to_qbytearray().to_string(), "row 3/3,row 4/4");
        let model = model.borrow();
        let model = model.as_ref().expect("it is there").pinned();
        assert_eq!(model.borrow().len(), 2);
        model.borrow().clear();
        assert!(model.borrow().is_empty());
        assert_eq!(i32::from_qvariant(root.property("count")), Some(0));
    });
}

fn a_property_is_driven() {
    let qml = r#"
        QtObject {
            property int level: backend ? backend.level : 0
            property string seen: ""
            onLevelChanged: if (backend) { seen += level + " "; backend.add(level) }
        }"#;
    stage(Backend::default(), qml, async |backend, root| {
        let backend = backend.take().expect("it is there");
        let levels = stream::iter([1, 2, 3]);
        let driven = qml::drive(
            backend.pinned().borrow(),
            levels,
            |it, level| it.level = level,
            Backend::level_changed,
        );
        assert_eq!(driven.await.expect("no panic"), Ok(()));
        assert_eq!(root.property("seen").to_qbytearray().to_string(), "1 2 3 ");
        assert_eq!(backend.pinned().borrow().sum, 6, "the object is not borrowed while it tells");
        let more = stream::pending();
        let driven = qml::drive(
            backend.pinned().borrow(),
            more,
            |it, level| it.level = level,
            Backend::level_changed,
        );
        drop(backend);
        assert_eq!(driven.await.expect("no panic"), Err(Destroyed));
    });
}

fn the_exit_code() {
    let code = qml::run(|engine| -> Result<_, RunError> {
        engine.load_data(
            "import QtQuick 2.15\nTimer { interval: 1; running: true; onTriggered: Qt.exit(3) }"
                .into(),
        );
        assert!(!ObjectRef::root(engine).is_null());
        Ok(())
    });
    assert_eq!(code.expect("it runs"), 3);
}

fn nothing_runs_after_an_error() {
    let (future, is_dropped) = endless();
    let outcome = qml::run(|_| -> Result<(), Box<dyn Error>> {
        spawn_local(future).detach();
        Err("it went wrong".into())
    });
    assert_eq!(outcome.expect_err("it went wrong").to_string(), "it went wrong");
    assert!(is_dropped.get());
}

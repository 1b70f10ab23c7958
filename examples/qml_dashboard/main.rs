//! Two series in one QML chart: readings that Rust futures take from a socket, and numbers that a
//! Python coroutine computes.
//!
//!     cargo run --features qml,python,qt-module --example qml_dashboard \
//!         [-- --screenshot dashboard.png]
//!
//! Both run on one loop, the application's. The button starts the computation, which QML awaits as
//! a `Promise`, or cancels it. With `--screenshot` the program takes a picture of its window as
//! soon as there is something to see, and quits.

mod computed;
mod sockets;

use std::cell::RefCell;
use std::env;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;

use futures::future::{AbortHandle, abortable};
use futures::{StreamExt, TryStreamExt};
use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use qmetaobject::{
    QJSValue, QObject, QObjectBox, QPointer, QString, QmlEngine, SimpleListItem, qt_base_class,
    qt_method, qt_property, qt_signal,
};
use qtloop::python::{self, App};
use qtloop::qml::{self, ObjectRef, StreamModel};

/// How many readings the chart has room for.
const ROOM: usize = 100;

/// One column of the chart, between 0 and 1.
#[derive(SimpleListItem)]
struct Reading {
    pub value: f64,
}

type Series = StreamModel<Reading>;

/// What QML knows as `desk`.
#[derive(QObject, Default)]
struct Desk {
    base: qt_base_class!(trait QObject),
    /// The last reading.
    latest: qt_property!(f64; NOTIFY latest_changed),
    latest_changed: qt_signal!(),
    compute: qt_method!(fn(&self) -> QJSValue),
    cancel: qt_method!(fn(&self)),
    /// Where to put a picture; empty if nobody wants one.
    screenshot: qt_property!(QString; CONST),
    computed: QPointer<Series>,
    computation: RefCell<Option<AbortHandle>>,
}

impl Desk {
    /// Computes until it is done or cancelled.
    fn compute(&self) -> QJSValue {
        let (computation, abort) = abortable(fill(self.computed.clone()));
        self.computation.replace(Some(abort));
        qml::promise(self, async {
            match computation.await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(_aborted) => Err("cancelled".into()),
            }
        })
    }

    fn cancel(&self) {
        if let Some(computation) = self.computation.take() {
            computation.abort();
        }
    }
}

/// Shows what Python computes.
async fn fill(series: QPointer<Series>) -> PyResult<()> {
    let mut numbers = pin!(computed::numbers()?);
    while let Some(value) = numbers.try_next().await? {
        let Some(series) = series.as_ref() else { break };
        series.push(Reading { value });
    }
    Ok(())
}

fn main() -> ExitCode {
    python::finish(run())
}

/// Runs both languages on one loop until the window is closed.
fn run() -> Result<(), python::Error> {
    // The engine makes the application object, which the loop must not outlive.
    let engine = Rc::new(RefCell::new(QmlEngine::new()));
    let shown = Rc::clone(&engine);
    App::new()?.run(async move {
        let server = sockets::serve()?;
        let _objects = show(&mut shown.borrow_mut(), server)?;
        pending().await
    })?;
    Ok(())
}

/// Shows the dashboard, and gives what must live as long as the engine.
fn show(engine: &mut QmlEngine, server: SocketAddr) -> PyResult<impl Sized + use<>> {
    let received = QObjectBox::new(Series::with_limit(ROOM));
    let computed = QObjectBox::new(Series::with_limit(ROOM));
    engine.set_object_property("received".into(), received.pinned());
    engine.set_object_property("computed".into(), computed.pinned());
    let desk = QObjectBox::new(Desk {
        computed: QPointer::from(computed.pinned().borrow()),
        screenshot: screenshot().unwrap_or_default().into(),
        ..Desk::default()
    });
    engine.set_object_property("desk".into(), desk.pinned());
    engine.load_data(include_str!("dashboard.qml").into());
    if ObjectRef::root(engine).is_null() {
        return Err(PyRuntimeError::new_err("QML has said what is wrong"));
    }

    // Two connections: one for the chart, one for the number.
    let columns = sockets::readings(server).map(|value| Reading { value });
    StreamModel::feed(received.pinned(), columns).detach();
    let latest = sockets::readings(server);
    qml::drive(
        desk.pinned().borrow(),
        latest,
        |desk, value| desk.latest = value,
        Desk::latest_changed,
    )
    .detach();
    Ok((received, computed, desk))
}

/// What follows `--screenshot`.
fn screenshot() -> Option<String> {
    env::args().skip_while(|argument| argument != "--screenshot").nth(1)
}

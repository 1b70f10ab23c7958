//! A QML application in Rust alone: a clock by the loop's timers, a TCP echo, a method that QML
//! awaits.
//!
//!     cargo run --features qml --example qml_clock [-- --screenshot clock.png]
//!
//! With `--screenshot` it takes a picture of its window as soon as there is something to see, and
//! quits.

mod echo;

use std::env;
use std::error::Error;
use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use qmetaobject::{
    QJSValue, QObject, QObjectBox, QPointer, QString, QmlEngine, SimpleListItem, qt_base_class,
    qt_method, qt_property, qt_signal,
};
use qtloop::qml::{self, ObjectRef, StreamModel};
use qtloop::{interval, sleep, spawn_local};

/// How many echoes are shown.
const ENOUGH: usize = 6;

/// What QML knows as `clock`.
#[derive(QObject, Default)]
struct Clock {
    base: qt_base_class!(trait QObject),
    /// Since the start or the last reset.
    seconds: qt_property!(f64; NOTIFY ticked),
    ticked: qt_signal!(),
    think: qt_method!(fn(&self, question: QString) -> QJSValue),
    /// Where to put a picture; empty if nobody wants one.
    screenshot: qt_property!(QString; CONST),
}

impl Clock {
    /// A `Promise` for QML.
    fn think(&self, question: QString) -> QJSValue {
        qml::promise(self, async move {
            sleep(Duration::from_millis(200)).await;
            let question = question.to_string();
            if question.ends_with('?') {
                Ok(QString::from(format!(
                    "{} letters",
                    question.chars().filter(|c| c.is_alphabetic()).count()
                )))
            } else {
                Err("this is no question")
            }
        })
    }

    /// Lets the hand go round.
    fn start(&self) {
        let time = interval(Duration::from_millis(40)).map(|_| 0.04);
        qml::drive(self, time, |clock, passed| clock.seconds += passed, Clock::ticked).detach();
    }
}

/// One line of the log.
#[derive(SimpleListItem)]
struct Echo {
    pub number: i32,
    pub text: QString,
}

fn main() -> Result<(), Box<dyn Error>> {
    std::process::exit(qml::run(show)?);
}

/// Shows the window, and gives what must live as long as the engine.
fn show(engine: &mut QmlEngine) -> Result<impl Sized + use<>, Box<dyn Error>> {
    let screenshot = screenshot().unwrap_or_default();
    let clock =
        QObjectBox::new(Clock { screenshot: screenshot.as_str().into(), ..Clock::default() });
    let echoes = QObjectBox::new(StreamModel::with_limit(ENOUGH));
    engine.set_object_property("clock".into(), clock.pinned());
    engine.set_object_property("echoes".into(), echoes.pinned());
    engine.load_data(include_str!("clock.qml").into());
    let window = ObjectRef::root(engine);
    if window.is_null() {
        return Err("QML has said what is wrong".into());
    }
    clock.pinned().borrow().start();
    StreamModel::feed(echoes.pinned(), exchange(echo::serve()?)).detach();
    spawn_local(resets(window, QPointer::from(clock.pinned().borrow()))).detach();
    Ok((clock, echoes))
}

/// Sends something every now and then; gives what comes back.
fn exchange(server: SocketAddr) -> impl Stream<Item = Echo> {
    let numbers =
        interval(Duration::from_millis(100)).zip(stream::iter(1..)).map(|(_, number)| number);
    numbers.then(move |number| async move {
        let answer = echo::ask(server, format!("hello {number}")).await;
        Echo { number, text: answer.unwrap_or_else(|error| error.to_string()).into() }
    })
}

/// Sets the clock back whenever the button is clicked: a signal that is declared in QML, awaited by
/// Rust.
async fn resets(window: ObjectRef, clock: QPointer<Clock>) {
    let Ok(clicks) = window.find("reset").emissions("clicked()") else { return };
    let reset = |_| {
        if let Some(clock) = clock.as_pinned() {
            clock.borrow_mut().seconds = 0.0;
            clock.borrow().ticked();
        }
        ready(())
    };
    clicks.for_each(reset).await;
}

/// What follows `--screenshot`.
fn screenshot() -> Option<String> {
    env::args().skip_while(|argument| argument != "--screenshot").nth(1)
}

//! Signals of Qt objects, found by name: to closures, as streams and as futures.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt};
use qtloop::host::{Event, EventSink, Exec, Host};
use qtloop::qt::{
    self, Application, Connection, Emission, Emissions, NoSuchSignal, Object, QtHost,
    SenderDestroyed, Value,
};

const RENAMED: &str = "objectNameChanged(QString)";

fn name(name: &str) -> Vec<Value> {
    vec![Value::String(name.into())]
}

fn values(values: Vec<Value>) -> Emission {
    Emission::Values(values)
}

type Log = Rc<RefCell<Vec<Emission>>>;

/// Connects a closure that writes everything down.
fn record(object: &Object, signal: &str) -> Result<(Connection, Log), NoSuchSignal> {
    let log = Log::default();
    let on = {
        let log = Rc::clone(&log);
        move |emission| log.borrow_mut().push(emission)
    };
    Ok((connect(object, signal, on)?, log))
}

fn connect(
    object: &Object,
    signal: &str,
    on: impl FnMut(Emission) + 'static,
) -> Result<Connection, NoSuchSignal> {
    // SAFETY: the object lives, on this thread.
    unsafe { qt::connect(object.as_ptr(), signal, on) }
}

fn emissions(object: &Object, capacity: usize) -> Emissions {
    // SAFETY: the object lives, on this thread.
    unsafe { Emissions::with_capacity(object.as_ptr(), RENAMED, capacity) }
        .expect("there is such a signal")
}

pub fn every_emission_brings_its_arguments_and_destruction_ends_it() {
    let object = Object::new();
    let (connection, log) = record(&object, RENAMED).expect("there is such a signal");
    object.set_object_name("a");
    object.set_object_name("a");
    object.set_object_name("é🦀");
    assert!(connection.is_connected());
    drop(object);
    assert_eq!(*log.borrow(), [values(name("a")), values(name("é🦀")), Emission::Destroyed]);
    assert!(!connection.is_connected());
    assert_eq!(Rc::strong_count(&log), 1, "the closure is gone");
}

pub fn a_signal_is_found_by_its_name_or_by_any_spelling_of_its_signature() {
    for signal in [RENAMED, "objectNameChanged", " objectNameChanged ( const QString & ) "] {
        let object = Object::new();
        let (_connection, log) = record(&object, signal).expect(signal);
        object.set_object_name("a");
        assert_eq!(*log.borrow(), [values(name("a"))], "{signal}");
    }
    for (signal, has_argument) in
        [("destroyed", true), ("destroyed(QObject*)", true), ("destroyed()", false)]
    {
        let object = Object::new();
        let argument = if has_argument { vec![Value::Object(object.as_ptr())] } else { Vec::new() };
        let (_connection, log) = record(&object, signal).expect(signal);
        drop(object);
        assert_eq!(*log.borrow(), [values(argument), Emission::Destroyed], "{signal}");
    }
}

pub fn what_is_no_signal_is_refused() {
    let object = Object::new();
    let signals = [
        "",
        "(",
        ")",
        "nothing",
        "nothing()",
        "objectNameChanged()",
        "objectNameChanged(",
        "objectNameChanged(int)",
        "objectNameChanged(QString)\0",
        "deleteLater",
        "deleteLater()",
    ];
    for signal in signals {
        let refused = record(&object, signal).err();
        let refused = refused.unwrap_or_else(|| panic!("{signal:?} was found"));
        assert_eq!(refused.to_string(), format!("the object has no signal {signal:?}"));
    }
}

pub fn a_dropped_connection_hears_nothing() {
    let object = Object::new();
    let (connection, log) = record(&object, RENAMED).expect("there is such a signal");
    drop(connection);
    assert_eq!(Rc::strong_count(&log), 1, "the closure is gone");
    object.set_object_name("a");
    drop(object);
    assert_eq!(*log.borrow(), []);
}

pub fn the_closure_may_drop_its_own_connection() {
    let object = Object::new();
    let (heard, slot) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let on = {
        let (heard, slot) = (Rc::clone(&heard), Rc::clone(&slot));
        move |_| {
            drop::<Option<Connection>>(slot.take());
            heard.set(heard.get() + 1);
        }
    };
    slot.set(Some(connect(&object, RENAMED, on).expect("there is such a signal")));
    object.set_object_name("a");
    object.set_object_name("b");
    drop(object);
    assert_eq!(heard.get(), 1);
    assert_eq!(Rc::strong_count(&heard), 1, "the closure is gone");
}

pub fn what_is_emitted_within_the_closure_comes_after_it() {
    let object = Rc::new(Object::new());
    let log = Rc::new(RefCell::new(Vec::new()));
    let on = {
        let (object, log) = (Rc::clone(&object), Rc::clone(&log));
        move |emission: Emission| {
            log.borrow_mut().push(format!("{emission:?} begins"));
            if emission == values(name("a")) {
                object.set_object_name("b");
                object.set_object_name("c");
            }
            log.borrow_mut().push("ends".into());
        }
    };
    let connection = connect(&object, RENAMED, on).expect("there is such a signal");
    object.set_object_name("z");
    object.set_object_name("a");
    object.set_object_name("d");
    let expected = ["z", "a", "b", "c", "d"]
        .map(|text| [format!("{:?} begins", values(name(text))), "ends".into()]);
    assert_eq!(*log.borrow(), expected.as_flattened());
    drop(connection);
    assert_eq!(Rc::strong_count(&object), 1, "the closure is gone");
}

pub fn a_panic_ends_the_connection_and_is_kept() {
    let object = Object::new();
    let witness = Rc::new(());
    let on = {
        let witness = Rc::clone(&witness);
        move |_| {
            let _witness = &witness;
            std::panic::panic_any("the closure's panic");
        }
    };
    let connection = connect(&object, RENAMED, on).expect("there is such a signal");
    object.set_object_name("a");
    object.set_object_name("b");
    assert!(!connection.is_connected());
    assert_eq!(Rc::strong_count(&witness), 1, "the closure is gone");
    let panic = connection.take_panic().expect("it panicked");
    assert_eq!(panic.downcast_ref(), Some(&"the closure's panic"));
    assert!(connection.take_panic().is_none());
}

pub fn a_stream_has_every_emission_and_ends_with_the_sender() {
    let object = Object::new();
    // SAFETY: the object lives, on this thread.
    let mut emissions =
        unsafe { Emissions::new(object.as_ptr(), RENAMED) }.expect("there is such a signal");
    assert_eq!(emissions.next().now_or_never(), None);
    object.set_object_name("a");
    object.set_object_name("b");
    assert_eq!(emissions.next().now_or_never(), Some(Some(name("a"))));
    object.set_object_name("c");
    drop(object);
    assert!(!emissions.is_terminated());
    assert_eq!(
        emissions.by_ref().collect::<Vec<_>>().now_or_never(),
        Some(vec![name("b"), name("c")])
    );
    assert!(emissions.is_terminated());
    assert_eq!(emissions.lost(), 0);
}

pub fn a_full_stream_drops_the_oldest_and_counts_it() {
    let object = Object::new();
    let mut emissions = [emissions(&object, 2), emissions(&object, 0)];
    for name in ["a", "b", "c", "d"] {
        object.set_object_name(name);
    }
    drop(object);
    let kept = emissions
        .each_mut()
        .map(|emissions| emissions.collect::<Vec<_>>().now_or_never().expect("it has ended"));
    assert_eq!(kept, [vec![name("c"), name("d")], vec![name("d")]]);
    assert_eq!(emissions.map(|emissions| emissions.lost()), [2, 3]);
}

/// Counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Wakes>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn who_waits_is_woken_by_an_emission_and_by_destruction() {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let woken = || wakes.0.swap(0, Ordering::Relaxed);

    let object = Object::new();
    let mut emissions = emissions(&object, 1);
    let mut emitted = [(); 2].map(|()| {
        // SAFETY: the object lives, on this thread.
        unsafe { qt::emitted(object.as_ptr(), RENAMED) }.expect("there is such a signal")
    });
    assert!(emissions.poll_next_unpin(&mut context).is_pending());
    assert!(emitted[0].poll_unpin(&mut context).is_pending());
    object.set_object_name("a");
    object.set_object_name("b");
    assert_eq!(woken(), 2, "once for each that waits");
    assert_eq!(emissions.poll_next_unpin(&mut context), Poll::Ready(Some(name("b"))));
    assert_eq!(
        emitted.each_mut().map(|emitted| emitted.now_or_never()),
        [Some(Ok(name("a"))), Some(Ok(name("a")))]
    );

    // SAFETY: the object lives, on this thread.
    let mut emitted =
        unsafe { qt::emitted(object.as_ptr(), RENAMED) }.expect("there is such a signal");
    assert!(emissions.poll_next_unpin(&mut context).is_pending());
    assert!(emitted.poll_unpin(&mut context).is_pending());
    assert_eq!(woken(), 0);
    drop(object);
    assert_eq!(woken(), 2);
    assert_eq!(emissions.poll_next_unpin(&mut context), Poll::Ready(None));
    assert_eq!(emitted.poll_unpin(&mut context), Poll::Ready(Err(SenderDestroyed)));
}

pub fn who_drops_a_stream_that_waits_is_not_woken() {
    let object = Object::new();
    let mut emissions = emissions(&object, 1);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(emissions.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    drop((emissions, waker));
    object.set_object_name("a");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&wakes), 1, "the waker is gone");
}

/// An address to be used on another thread, while this one waits for it.
struct Lent(*const Object);

// SAFETY: only one thread at a time has anything to do with the object.
unsafe impl Send for Lent {}

/// Renames the object on another thread; this one waits for the end of that.
fn rename_elsewhere(object: &Object, name: &'static str) {
    let lent = Lent(object);
    let renaming = thread::spawn(move || {
        let lent = lent;
        // SAFETY: the object lives until this thread has ended, and is left alone until then.
        unsafe { &*lent.0 }.set_object_name(name);
    });
    renaming.join().expect("it does not panic");
}

/// Quits at the first event.
struct Quit(Rc<QtHost>);

impl EventSink for Quit {
    fn event(&self, _: Event) {
        self.0.quit();
    }
}

/// Lets Qt deliver what has been posted.
fn turn() {
    let host = Rc::new(QtHost::new());
    host.start(Rc::new(Quit(Rc::clone(&host)))).expect("there is an application");
    host.arm();
    host.run(Exec::Drain).expect("it quits");
    host.stop();
}

pub fn another_threads_emission_comes_through_this_threads_event_loop() {
    let _application = Application::new().expect("no other test makes one");
    let object = Object::new();
    let (connection, log) = record(&object, RENAMED).expect("there is such a signal");
    rename_elsewhere(&object, "a");
    assert_eq!(*log.borrow(), [], "not on the other thread");
    turn();
    assert_eq!(*log.borrow(), [values(name("a"))]);

    // What is on its way when the connection ends is not delivered.
    rename_elsewhere(&object, "b");
    drop(connection);
    turn();
    assert_eq!(*log.borrow(), [values(name("a"))]);

    // What is on its way when the sender is destroyed comes before that.
    let (_connection, log) = record(&object, RENAMED).expect("there is such a signal");
    rename_elsewhere(&object, "c");
    rename_elsewhere(&object, "d");
    drop(object);
    assert_eq!(*log.borrow(), [values(name("c")), values(name("d")), Emission::Destroyed]);

    the_closure_may_destroy_the_sender();
    the_closure_may_drop_its_connection_while_the_sender_is_destroyed();
}

fn the_closure_may_destroy_the_sender() {
    let object = Object::new();
    let (log, owner) = (Log::default(), Rc::new(Cell::new(None)));
    let on = {
        let (log, owner) = (Rc::clone(&log), Rc::clone(&owner));
        move |emission| {
            drop::<Option<Object>>(owner.take());
            log.borrow_mut().push(emission);
        }
    };
    let connection = connect(&object, RENAMED, on).expect("there is such a signal");
    rename_elsewhere(&object, "a");
    rename_elsewhere(&object, "b");
    owner.set(Some(object));
    turn();
    assert_eq!(*log.borrow(), [values(name("a")), values(name("b")), Emission::Destroyed]);
    assert!(!connection.is_connected());
}

fn the_closure_may_drop_its_connection_while_the_sender_is_destroyed() {
    let object = Object::new();
    let (log, slot) = (Log::default(), Rc::new(Cell::new(None)));
    let on = {
        let (log, slot) = (Rc::clone(&log), Rc::clone(&slot));
        move |emission| {
            drop::<Option<Connection>>(slot.take());
            log.borrow_mut().push(emission);
        }
    };
    slot.set(Some(connect(&object, RENAMED, on).expect("there is such a signal")));
    rename_elsewhere(&object, "a");
    rename_elsewhere(&object, "b");
    drop(object);
    assert_eq!(*log.borrow(), [values(name("a"))]);
    assert_eq!(Rc::strong_count(&log), 1, "the closure is gone");
}

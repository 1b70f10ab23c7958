//! Connections to the signals of any `QObject`, by name.

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::ffi::{CString, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use cpp::cpp;

use super::value::{Put, Value, put};

cpp! {{
    #include "signals.h"
    #include "signals.cpp"
}}

/// What a [`Connection`] tells of.
#[derive(Clone, Debug, PartialEq)]
pub enum Emission {
    /// The signal was emitted with these arguments.
    Values(Vec<Value>),
    /// The sender is being destroyed. This comes once, and nothing after it.
    Destroyed,
}

/// The sender's class has no such signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchSignal(String);

impl fmt::Display for NoSuchSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object has no signal {:?}", self.0)
    }
}

impl Error for NoSuchSignal {}

/// A signal's connection to a closure. Dropping it disconnects, also from within the closure. It
/// belongs to the thread that made it.
pub struct Connection {
    receiver: NonNull<c_void>,
    state: Rc<State>,
}

/// Connects `signal` of the `QObject` at `sender` to `on`.
///
/// The signal is given by its signature, as in `"valueChanged(int)"`, or by its name alone, as in
/// `"timeout"`: then of several signals with this name the one with the most arguments is meant,
/// and of several such the one that was declared first, with base classes before those derived from
/// them. Superfluous spaces in a signature make no difference, nor does `const` with `&`. One that
/// leaves out default arguments (`"destroyed()"`) gets no values for them.
///
/// `on` is called while the signal is emitted. What is emitted while `on` runs, be it by `on`
/// itself or in a nested event loop, is delivered in order when it has returned. What another
/// thread emits is delivered by this thread's event loop; Qt drops it, with a warning, if it cannot
/// copy an argument's type.
///
/// A panic of `on` ends the connection; [`Connection::take_panic`] has it.
///
/// ```
/// use qtloop::qt::{Object, connect};
///
/// let object = Object::new();
/// let on = |emission| println!("{emission:?}");
/// // SAFETY: the object lives, on this thread.
/// let _connection = unsafe { connect(object.as_ptr(), "objectNameChanged(QString)", on) }?;
/// object.set_object_name("a"); // Values([String("a")])
/// drop(object); // Destroyed
/// # Ok::<(), qtloop::qt::NoSuchSignal>(())
/// ```
///
/// # Errors
/// If the object has no such signal.
///
/// # Safety
/// `sender` points to a living `QObject` of the calling thread.
pub unsafe fn connect(
    sender: *mut c_void,
    signal: &str,
    on: impl FnMut(Emission) + 'static,
) -> Result<Connection, NoSuchSignal> {
    let no_such_signal = || NoSuchSignal(signal.to_owned());
    let name = CString::new(signal).map_err(|_| no_such_signal())?;
    let name = name.as_ptr();
    let state = Rc::new(State { on: Cell::new(Some(Box::new(on))), ..State::default() });
    let context: *const c_void = Rc::as_ptr(&state).cast();
    let tell: Tell = tell;
    // SAFETY: the sender lives, by the caller's promise. The state lives until the connection
    // deletes the receiver.
    let receiver = unsafe {
        cpp!([sender as "QObject *", name as "const char *", context as "const void \
            *", tell as "qtloop::TellEmission"]
            -> *mut c_void as "qtloop::Receiver *" {
            return qtloop::Receiver::connect(sender, name, context, tell);
        })
    };
    let receiver = NonNull::new(receiver).ok_or_else(no_such_signal)?;
    Ok(Connection { receiver, state })
}

impl Connection {
    /// Whether emissions still come: the sender lives as far as we were told, and `on` has not
    /// panicked.
    pub fn is_connected(&self) -> bool {
        !self.state.over.get()
    }

    /// The panic of `on`, once.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.state.panic.take()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let receiver = self.receiver.as_ptr();
        self.state.over.set(true);
        // SAFETY: made by `connect`, deleted once, on its thread; it may be deleted while it tells.
        unsafe { cpp!([receiver as "qtloop::Receiver *"] { delete receiver; }) }
        drop(self.state.on.take());
    }
}

type On = Box<dyn FnMut(Emission)>;

/// What a connection and its receiver share.
#[derive(Default)]
struct State {
    /// Taken out while it runs, and for good when the connection is over.
    on: Cell<Option<On>>,
    /// What came while `on` ran.
    waiting: RefCell<VecDeque<Emission>>,
    over: Cell<bool>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl State {
    fn deliver(&self, emission: Emission) {
        self.waiting.borrow_mut().push_back(emission);
        // Otherwise it runs further up the stack, and goes on with what waits.
        let Some(mut on) = self.on.take() else { return };
        while let Some(emission) = self.next() {
            let is_last = emission == Emission::Destroyed;
            on(emission);
            if is_last {
                self.over.set(true);
            }
        }
        if !self.over.get() {
            self.on.set(Some(on));
        }
    }

    fn next(&self) -> Option<Emission> {
        if self.over.get() { None } else { self.waiting.borrow_mut().pop_front() }
    }
}

type Tell = unsafe extern "C" fn(*const c_void, *const c_void, *mut *mut c_void);

/// Brings an emission, or the sender's destruction, from C++ to the closure.
///
/// # Safety
/// `context` points to the state that `receiver` was made with; `arguments` are null or those of an
/// emission under way.
unsafe extern "C" fn tell(
    context: *const c_void,
    receiver: *const c_void,
    arguments: *mut *mut c_void,
) {
    let state = context.cast::<State>();
    // SAFETY: the caller's promise. This reference keeps the state when `on` drops the connection.
    let state = unsafe {
        Rc::increment_strong_count(state);
        Rc::from_raw(state)
    };
    if state.over.get() {
        return;
    }
    let told = catch_unwind(AssertUnwindSafe(|| {
        let emission = if arguments.is_null() {
            Emission::Destroyed
        } else {
            // SAFETY: the caller's promise.
            unsafe { read(receiver, arguments) }
        };
        state.deliver(emission);
    }));
    if let Err(panic) = told {
        state.over.set(true);
        state.panic.set(Some(panic));
    }
}

/// # Safety
/// The receiver is telling about these arguments.
unsafe fn read(receiver: *const c_void, arguments: *mut *mut c_void) -> Emission {
    let mut values: Vec<Value> = Vec::new();
    let into: *mut c_void = ptr::from_mut(&mut values).cast();
    let put: Put = put;
    // SAFETY: the caller's promise; `put` takes what `into` is.
    unsafe {
        cpp!([receiver as "const qtloop::Receiver *", arguments as "void **", into as "void \
            *", put as "qtloop::Put"] {
            receiver->read(arguments, into, put);
        })
    }
    Emission::Values(values)
}

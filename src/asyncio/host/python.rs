//! A host that is a Python object: the binding host, `qtloop._binding_host.Host`, and objects with
//! the methods of `qtloop.hosts.Host`.
//! `qtloop.hosts.Host`.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::asyncio::fatal::Fatal;
use crate::core::{Fd, Interest, Time};
use crate::host::{Event, EventSink, Exec, Host, HostError, clock};
use crate::panics::contain;

/// A host whose methods are Python methods.
pub struct PythonHost {
    host: Py<PyAny>,
    name: String,
    sink: CurrentSink,
    fatal: Rc<Fatal>,
}

impl PythonHost {
    /// Wraps a host. What it raises where nobody else can be told ends the run by `fatal`.
    pub fn new(host: Py<PyAny>, fatal: Rc<Fatal>) -> PythonHost {
        let name = name_of(host.bind(attached()));
        PythonHost { host, name, sink: CurrentSink::default(), fatal }
    }

    /// Calls a method that may be called twice with the same effect.
    fn try_call<'py, A: pyo3::call::PyCallArgs<'py> + Clone>(
        &self,
        py: Python<'py>,
        method: &str,
        args: A,
    ) -> PyResult<()> {
        let host = self.host.bind(py);
        self.fatal.insist(py, || host.call_method1(method, args.clone()).map(drop))
    }

    /// As `try_call`, for a method that must not fail. If it fails nevertheless, the run ends.
    fn call<'py, A: pyo3::call::PyCallArgs<'py> + Clone>(
        &self,
        py: Python<'py>,
        method: &str,
        args: A,
    ) {
        if let Err(error) = self.try_call(py, method, args) {
            self.fatal.raise_soon(py, error);
        }
    }
}

/// Makes callables for the binding's signals to be connected to. They are not Python functions, so
/// that no signal handler can raise its exception in a slot, where nobody would catch it.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Reporter {
    sink: CurrentSink,
}

/// A slot: reports its event, whatever arguments the signal has.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Slot {
    sink: CurrentSink,
    event: Event,
}

/// The sink between `start` and `stop`. A binding may keep a slot for longer, and the slot must not
/// keep the sink alive.
#[derive(Clone, Default)]
struct CurrentSink(Rc<RefCell<Option<Rc<dyn EventSink>>>>);

// SAFETY: made, called and dropped only with the GIL held, and called only on the thread that runs
// the loop, since that is where the timers and notifiers live.
unsafe impl Send for CurrentSink {}
// SAFETY: as above.
unsafe impl Sync for CurrentSink {}

impl Reporter {
    fn slot(&self, event: Event) -> Slot {
        Slot { sink: self.sink.clone(), event }
    }
}

#[pymethods]
impl Reporter {
    fn ready(&self) -> Slot {
        self.slot(Event::Ready)
    }

    fn deadline(&self) -> Slot {
        self.slot(Event::Deadline)
    }

    fn readable(&self, fd: Fd) -> Slot {
        self.slot(Event::Fd(fd, Interest::READ))
    }

    fn writable(&self, fd: Fd) -> Slot {
        self.slot(Event::Fd(fd, Interest::WRITE))
    }
}

#[pymethods]
impl Slot {
    #[pyo3(signature = (*_arguments))]
    fn __call__(&self, _arguments: &Bound<'_, PyTuple>) {
        let sink = self.sink.0.borrow().clone();
        if let Some(sink) = sink {
            // Bindings end the process if a slot raises an exception.
            contain(|| sink.event(self.event));
        }
    }
}

/// The host's own name, or else the name of its class.
fn name_of(host: &Bound<'_, PyAny>) -> String {
    let own = host.getattr("name").and_then(|name| name.extract());
    own.or_else(|_| host.get_type().name().map(|name| name.to_string())).unwrap_or_default()
}

/// The token of a thread that calls a host's method.
fn attached<'py>() -> Python<'py> {
    // SAFETY: a Python loop's driver calls its host with the GIL held.
    unsafe { Python::assume_attached() }
}

impl Host for PythonHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        let py = attached();
        self.sink.0.replace(Some(sink));
        let reporter = Reporter { sink: self.sink.clone() };
        let started = self.host.bind(py).call_method1("start", (reporter,));
        started.map(drop).map_err(HostError::new)
    }

    fn stop(&self) {
        self.call(attached(), "stop", ());
        let sink = self.sink.0.take();
        drop(sink);
    }

    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        let py = attached();
        let ran = self.host.bind(py).call_method1("run", (exec == Exec::Drain,));
        ran.and_then(|code| code.extract()).map_err(HostError::new)
    }

    fn quit(&self) {
        let py = attached();
        if let Err(error) = self.try_call(py, "quit", ()) {
            // Nothing here can end the run.
            error.write_unraisable(py, Some(self.host.bind(py)));
        }
    }

    fn arm(&self) {
        self.call(attached(), "arm", ());
    }

    fn disarm(&self) {
        self.call(attached(), "disarm", ());
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        let wait = deadline.map(|deadline| {
            let wait = deadline.since(clock::now()).as_nanos();
            wait.div_ceil(1_000_000).min(i32::MAX as u128) as i32
        });
        self.call(attached(), "set_deadline", (wait,));
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        self.try_call(attached(), "watch", (fd, interest.to_abi())).map_err(io::Error::other)
    }
}

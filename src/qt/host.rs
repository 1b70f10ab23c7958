//! Qt's event loop as a host.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::rc::Rc;

use super::bridge::Bridge;
use crate::core::{Fd, Interest, Time};
use crate::host::table::event_from_abi;
use crate::host::{EventSink, Exec, Host, HostError, clock};
use crate::panics::contain;

/// Qt's event loop on the thread that runs it. Needs a `QCoreApplication` before a run starts.
#[derive(Default)]
pub struct QtHost {
    session: RefCell<Option<Rc<Session>>>,
}

/// What exists between `start` and `stop`. The bridge goes first: it reports to the sink's
/// address.
struct Session {
    bridge: Bridge,
    _sink: Box<Rc<dyn EventSink>>,
}

impl QtHost {
    /// A host that has not started.
    pub fn new() -> QtHost {
        QtHost::default()
    }

    /// Calls the bridge, if there is one, with no borrow held: Qt may come back in.
    fn with_bridge(&self, call: impl FnOnce(&Bridge)) {
        let session = self.session.borrow().clone();
        if let Some(session) = session {
            call(&session.bridge);
        }
    }
}

/// Brings an event from C++ to the sink.
///
/// # Safety
/// `context` points to the sink that the bridge was made with, and the bridge is still there.
unsafe extern "C" fn report(context: *mut c_void, event: u32, fd: Fd, interest: u32) {
    // SAFETY: the caller's promise. The clone keeps the sink for as long as it handles the event.
    let sink = Rc::clone(unsafe { &*context.cast::<Rc<dyn EventSink>>() });
    // The sink reports what goes wrong itself; a panic that gets here all the same must not unwind
    // into C++.
    contain(|| {
        if let Some(event) = event_from_abi(event, fd, interest) {
            sink.event(event);
        }
    });
}

impl Host for QtHost {
    fn name(&self) -> &'static str {
        "qt"
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn start(&self, sink: Rc<dyn EventSink>) -> Result<(), HostError> {
        let sink = Box::new(sink);
        let context = std::ptr::from_ref::<Rc<dyn EventSink>>(&sink).cast_mut().cast();
        // SAFETY: the box keeps its address in the session, which drops the bridge before it.
        let bridge = unsafe { Bridge::new(context, report) };
        let bridge = bridge.ok_or_else(HostError::no_application)?;
        self.session.replace(Some(Rc::new(Session { bridge, _sink: sink })));
        Ok(())
    }

    fn stop(&self) {
        let session = self.session.take();
        drop(session);
    }

    fn run(&self, exec: Exec) -> Result<i32, HostError> {
        let mut code = 0;
        self.with_bridge(|bridge| code = bridge.run(exec == Exec::Drain));
        Ok(code)
    }

    fn quit(&self) {
        self.with_bridge(Bridge::quit);
    }

    fn arm(&self) {
        self.with_bridge(Bridge::arm);
    }

    fn disarm(&self) {
        self.with_bridge(Bridge::disarm);
    }

    fn set_deadline(&self, deadline: Option<Time>) {
        let wait = deadline.map(|deadline| deadline.since(clock::now()));
        self.with_bridge(|bridge| bridge.set_deadline(wait));
    }

    fn watch(&self, fd: Fd, interest: Interest) -> io::Result<()> {
        self.with_bridge(|bridge| bridge.watch(fd, interest));
        Ok(())
    }
}

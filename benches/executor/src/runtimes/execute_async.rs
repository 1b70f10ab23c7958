//! `qmetaobject::execute_async`: each wake an event that Qt posts, each event a poll.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use qmetaobject::future::execute_async;
use qtloop::host::{Event, EventSink, Exec, Host};
use qtloop::qt::QtHost;

use super::dispatcher;
use crate::runtime::Runtime;
use crate::workloads::yield_now;

/// Qt's event loop, which needs a `QCoreApplication`. The host serves to enter and to leave it, and
/// has nothing else to do.
#[derive(Clone, Default)]
pub struct ExecuteAsync(Rc<QtHost>);

struct Silent;

impl EventSink for Silent {
    fn event(&self, _: Event) {}
}

impl Runtime for ExecuteAsync {
    fn name(&self) -> String {
        format!("execute_async ({})", dispatcher())
    }

    fn run<F: Future<Output: 'static> + 'static>(&self, main: F) -> F::Output {
        let output = Rc::new(Cell::new(None));
        let (place, host) = (Rc::clone(&output), Rc::clone(&self.0));
        self.0.start(Rc::new(Silent)).expect("an application");
        execute_async(async move {
            yield_now().await;
            place.set(Some(main.await));
            host.quit();
        });
        self.0.run(Exec::Application).expect("an application");
        self.0.stop();
        output.take().expect("an output")
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        execute_async(async move {
            // It polls a future at once; and one that is done by then is never freed.
            yield_now().await;
            future.await;
        });
    }
}

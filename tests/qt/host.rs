//! The native host keeps the contract, under the dispatcher that Qt chose.

use qtloop::host::contract;
use qtloop::host::{Event, EventSink, Exec, Host};
use qtloop::qt::{Application, QtHost};
use std::rc::Rc;

struct Silent;

impl EventSink for Silent {
    fn event(&self, _: Event) {}
}

pub fn the_native_host_keeps_the_contract() {
    let start = |host: &QtHost| host.start(Rc::new(Silent));
    assert!(start(&QtHost::new()).is_err(), "without an application there is no event loop");
    {
        let _application = Application::new().expect("the first application object");
        assert!(Application::new().is_none(), "there is one already");
        assert_eq!(contract::check(&QtHost::new), Ok(()));
    }
    assert!(start(&QtHost::new()).is_err(), "the application is gone");
    assert!(
        QtHost::new().run(Exec::Drain).is_ok(),
        "a host that has not started has nothing to run"
    );
}

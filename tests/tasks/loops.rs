//! The same test on every kind of loop.

use qtloop::EventLoop;
use qtloop::driver::Strategy;
use qtloop::host::Host;
use qtloop::host::sim::SimHost;

/// How fds are watched. Miri's epoll sets cannot be in another.
pub const STRATEGIES: &[Strategy] =
    if cfg!(miri) { &[Strategy::Notifier] } else { &[Strategy::Set, Strategy::Notifier] };

/// A loop on some host.
pub type AnyLoop = EventLoop<Box<dyn Host>>;

/// Runs `test` on the simulated host and, if it was built, on Qt's; with either way of watching
/// fds.
pub fn on_every_loop(test: impl Fn(&AnyLoop, Strategy)) {
    for &strategy in STRATEGIES {
        run(Box::new(SimHost::with_real_fds()), strategy, &test);
        #[cfg(feature = "qt")]
        run(qt(), strategy, &test);
    }
}

fn run(host: Box<dyn Host>, strategy: Strategy, test: &impl Fn(&AnyLoop, Strategy)) {
    // Shown if the test fails.
    eprintln!("on the host {} with {strategy:?}", host.name());
    let event_loop = EventLoop::with_strategy(host, strategy).expect("fds are left");
    test(&event_loop, strategy);
}

/// Qt's loop on this thread. The application object belongs to a thread that does nothing else and
/// stays: tests have threads of their own.
#[cfg(feature = "qt")]
fn qt() -> Box<dyn Host> {
    use std::sync::{Once, mpsc};
    use std::thread;

    static APPLICATION: Once = Once::new();
    APPLICATION.call_once(|| {
        let (sender, made) = mpsc::channel();
        thread::spawn(move || {
            let application = qtloop::qt::Application::new();
            sender.send(application.is_some()).expect("a test waits for it");
            loop {
                thread::park();
            }
        });
        assert_eq!(made.recv(), Ok(true), "the first application object");
    });
    Box::new(qtloop::qt::QtHost::new())
}

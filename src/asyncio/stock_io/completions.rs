//! The packets of a loop's completion port, from the thread that waits for them to the loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pyo3::prelude::*;

use super::port::{Packet, Port};
use crate::asyncio::context::current_context;
use crate::asyncio::errors::os_error;
use crate::asyncio::event_loop::Loop;
use crate::asyncio::item::{EventHandler, Item};
use crate::driver::Remote;

/// Takes the packets of a completion port, by a thread that waits for them without the GIL. The
/// loop is woken once until it has taken them all, and an idle loop is not woken at all.
#[pyclass(frozen, module = "qtloop._core")]
pub struct Completions {
    shared: Arc<Shared>,
    /// Called in the loop's thread when packets have arrived: takes them. It must not keep the loop
    /// alive: until `close` the thread keeps this object.
    arrived: Py<PyAny>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread has.
struct Shared {
    port: Port,
    is_closing: AtomicBool,
    state: Mutex<State>,
    /// Somebody waits for a packet by himself.
    waited_for: Condvar,
    remote: Arc<Remote<Item>>,
}

#[derive(Default)]
struct State {
    packets: VecDeque<Packet>,
    /// What is sent to the loop when a packet arrives; none while it is on its way.
    news: Option<Item>,
}

static ARRIVED: EventHandler = EventHandler {
    method: "arrived",
    run: |this| this.cast::<Completions>()?.get().arrived(this.py()),
    // Nothing of the program's runs: futures schedule their callbacks.
    context: |this| current_context(this.py()),
};

#[pymethods]
impl Completions {
    /// Waits at the port from now on.
    #[new]
    fn new(event_loop: &Bound<'_, Loop>, port: usize, arrived: Py<PyAny>) -> PyResult<Py<Self>> {
        let py = event_loop.py();
        let driver = event_loop.get().open_driver()?;
        let shared = Arc::new(Shared {
            port: Port::of(port).map_err(os_error)?,
            is_closing: AtomicBool::new(false),
            state: Mutex::default(),
            waited_for: Condvar::new(),
            remote: Arc::clone(driver.remote()),
        });
        let this = Completions { shared: Arc::clone(&shared), arrived, thread: Mutex::default() };
        let this = Py::new(py, this)?;
        shared.lock().news = Some(news(&this, py));
        let waiting = thread::Builder::new().name("completions".into());
        let waiting = waiting.spawn(move || shared.attend()).map_err(os_error)?;
        *this.get().thread() = Some(waiting);
        Ok(this)
    }

    /// Takes the packets that have arrived.
    fn arrived(&self, py: Python<'_>) -> PyResult<()> {
        self.arrived.call0(py).map(drop)
    }

    /// The next packet: its error, the count of bytes, the key and the address. Waits for it, but
    /// not longer than so many milliseconds. Without one None, and the loop will be told of the
    /// next.
    fn take(this: &Bound<'_, Self>, milliseconds: u32) -> Option<(u32, u32, usize, usize)> {
        let (py, shared) = (this.py(), &*this.get().shared);
        if let Some(packet) = shared.pop(|| news(this.as_unbound(), py)) {
            return Some(packet.into_tuple());
        }
        if milliseconds > 0 {
            py.detach(|| shared.wait(milliseconds));
        }
        shared.pop(|| news(this.as_unbound(), py)).map(Packet::into_tuple)
    }

    /// Ends the wait. What has not been taken is forgotten.
    fn close(&self, py: Python<'_>) {
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.port.interrupt();
        let waiting = self.thread().take();
        // The thread needs no GIL; it may wait for the lock of the loop's inbox.
        py.detach(|| waiting.map(JoinHandle::join));
        let news = self.shared.lock().news.take();
        drop(news);
    }
}

impl Completions {
    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        // Nothing that can panic runs under the lock.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packet {
    fn into_tuple(self) -> (u32, u32, usize, usize) {
        (self.error, self.transferred, self.key, self.address)
    }
}

fn news(this: &Py<Completions>, py: Python<'_>) -> Item {
    Item::Event(this.clone_ref(py).into_any(), &ARRIVED)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: takes packets until the port is given up.
    fn attend(&self) {
        let mut taken = Vec::new();
        loop {
            let waited = self.port.wait(|packet| taken.push(packet));
            if waited.is_err() || self.is_closing.load(Ordering::Acquire) {
                return;
            }
            let news = {
                let mut state = self.lock();
                state.packets.extend(taken.drain(..));
                if state.packets.is_empty() { None } else { state.news.take() }
            };
            self.waited_for.notify_all();
            if let Some(news) = news {
                self.remote.send(news);
            }
        }
    }

    /// The next packet. Without one the loop will be told of the next, by what `news` makes.
    fn pop(&self, news: impl FnOnce() -> Item) -> Option<Packet> {
        let mut state = self.lock();
        let packet = state.packets.pop_front();
        if packet.is_none() && state.news.is_none() && !self.is_closing.load(Ordering::Acquire) {
            state.news = Some(news());
        }
        packet
    }

    /// Waits until there is a packet, but not for longer.
    fn wait(&self, milliseconds: u32) {
        let state = self.lock();
        let patience = Duration::from_millis(milliseconds.into());
        let waited = self.waited_for.wait_timeout_while(state, patience, |state| {
            state.packets.is_empty() && !self.is_closing.load(Ordering::Acquire)
        });
        drop(waited);
    }
}

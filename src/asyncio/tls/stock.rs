//! What Rust asks asyncio's own TLS for by name.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The states of a connection, in the order of `SSLProtocolState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Unwrapped,
    DoHandshake,
    Wrapped,
    Flushing,
    Shutdown,
    /// A value that is none of these.
    Other,
}

const STATES: [(&str, State); 5] = [
    ("UNWRAPPED", State::Unwrapped),
    ("DO_HANDSHAKE", State::DoHandshake),
    ("WRAPPED", State::Wrapped),
    ("FLUSHING", State::Flushing),
    ("SHUTDOWN", State::Shutdown),
];

/// asyncio's names.
pub struct Stock {
    states: [Py<PyAny>; 5],
    want_read: Py<PyAny>,
    syscall: Py<PyAny>,
    pub ssl_object: Py<PyAny>,
    pub protocol: Py<PyAny>,
    pub transport: Py<PyAny>,
}

pub fn stock(py: Python<'_>) -> PyResult<&'static Stock> {
    static STOCK: PyOnceLock<Stock> = PyOnceLock::new();
    STOCK.get_or_try_init(py, || {
        let (ssl, sslproto) = (py.import("ssl")?, py.import("asyncio.sslproto")?);
        let states = sslproto.getattr("SSLProtocolState")?;
        let [a, b, c, d, e] = STATES.map(|(name, _)| states.getattr(name).map(Bound::unbind));
        Ok(Stock {
            states: [a?, b?, c?, d?, e?],
            want_read: ssl.getattr("SSLWantReadError")?.unbind(),
            syscall: ssl.getattr("SSLSyscallError")?.unbind(),
            ssl_object: ssl.getattr("SSLObject")?.unbind(),
            protocol: sslproto.getattr("SSLProtocol")?.unbind(),
            transport: sslproto.getattr("_SSLProtocolTransport")?.unbind(),
        })
    })
}

impl Stock {
    /// What a value of `_state` means.
    pub fn state(&self, value: &Bound<'_, PyAny>) -> State {
        let found = self.states.iter().position(|state| value.is(state));
        found.map_or(State::Other, |found| STATES[found].1)
    }

    /// Whether OpenSSL says, by this exception, that it needs more from the peer.
    pub fn is_again(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.is_instance(py, self.want_read.bind(py))
            || error.is_instance(py, self.syscall.bind(py))
    }
}

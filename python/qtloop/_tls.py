"""TLS connections: asyncio's own protocol, but Rust moves the data.

The handshake, the end and the errors are those of the running Python. `_core.TlsEngine`, the first
base class, does what happens for every record.
"""

import asyncio
import types
import weakref
from asyncio import base_events, sslproto
from typing import Any, Final

from . import _core, _transport_reports

TIMEOUTS: Final = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


class SSLTransport(sslproto._SSLProtocolTransport):
    """The program's transport of a TLS connection. Rust adds the methods that are called for every
    record."""


_core.add_tls_methods(SSLTransport)


class SSLProtocol(_core.TlsEngine, sslproto.SSLProtocol):
    """The protocol of the transport below a TLS connection."""

    #: The stock class makes a buffer of this size for each connection. Ours share one.
    max_size = 0

    def _get_app_transport(self) -> Any:
        if self._app_transport is None:
            if self._app_transport_created:
                raise RuntimeError("Creating _SSLProtocolTransport twice")
            self._app_transport = SSLTransport(self._loop, self)
            self._app_transport_created = True
        return self._app_transport

    def _fail(self, error: Exception) -> None:
        """Ends the connection by an exception. The code that logs it asks which exception is being
        handled."""
        try:
            raise error
        except Exception as raised:
            self._fatal_error(raised, "Fatal error on SSL protocol")

    def _report(self, method: str, error: BaseException) -> None:
        """Reports what a method of the program's protocol has raised."""
        self._loop.call_exception_handler(
            {
                "message": f"protocol.{method}() failed",
                "exception": error,
                "transport": self._app_transport,
                "protocol": self,
            }
        )


class Acceptance:
    """Makes the protocols of a listener's TLS connections."""

    def __init__(self, loop: Any, sslcontext: Any, timeouts: dict[str, Any]) -> None:
        self._loop = loop
        self.sslcontext: Final = sslcontext
        #: The time limits of the handshake and of the end, by `TIMEOUTS`.
        self.timeouts: Final = timeouts

    def __call__(self, protocol: Any) -> SSLProtocol:
        handshake = Handshake(self._loop, protocol)
        made = SSLProtocol(self._loop, protocol, self.sslcontext, handshake, True, **self.timeouts)
        handshake.transport = made._app_transport
        self._loop._handshakes.add(handshake)
        return made


class Handshake:
    """Stands in the place of the future that asyncio's accepting task waits for. It has the
    methods of a future that the protocol calls when the handshake is over."""

    __slots__ = ("__weakref__", "_loop", "_protocol", "transport")

    def __init__(self, loop: Any, protocol: Any) -> None:
        self._loop = loop
        self._protocol = protocol
        self.transport: Any = None

    def cancelled(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        self._loop._handshakes.discard(self)

    def set_exception(self, error: BaseException) -> None:
        self._loop._handshakes.discard(self)
        self._loop.call_soon(self.end, error)

    def end(self, error: BaseException) -> None:
        """Closes the connection, and reports why, as the task does."""
        if self.transport is not None:
            self.transport.close()
        _transport_reports.not_begun(self._loop, error, self._protocol, self.transport)


def end_handshakes(handshakes: "weakref.WeakSet[Handshake]") -> None:
    """Ends the handshakes of accepted connections. asyncio's tasks for them are cancelled when a
    run is over."""
    while handshakes:
        handshakes.pop().end(asyncio.CancelledError())


def _start_tls_with(protocol_class: type[SSLProtocol]) -> Any:
    """The stock loop's `start_tls` of this Python, with another class for the protocol."""
    stock = base_events.BaseEventLoop.start_tls
    names = {**stock.__globals__, "sslproto": types.SimpleNamespace(SSLProtocol=protocol_class)}
    made = types.FunctionType(
        stock.__code__, names, stock.__name__, stock.__defaults__, stock.__closure__
    )
    made.__kwdefaults__ = stock.__kwdefaults__
    made.__qualname__ = stock.__qualname__
    return made


start_tls = _start_tls_with(SSLProtocol)


def is_ours(transport: object) -> bool:
    """Whether Rust can write to the transport directly."""
    return isinstance(transport, _core.SocketTransport | SSLTransport)

"""TLS connections: asyncio's own protocol, but Rust moves the data.

The handshake, the end and the errors are those of the running Python. `_core.TlsEngine`, the first
base class, does what happens for every record.
"""

import types
from asyncio import base_events, sslproto
from typing import Any

from . import _core


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

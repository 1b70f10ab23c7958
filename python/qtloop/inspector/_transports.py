"""The transports whose files are open."""

from asyncio import sslproto
from typing import TYPE_CHECKING, Any

from .. import _system
from . import _names
from ._model import Transport

if TYPE_CHECKING:
    from .._loop import EventLoop


def collect(loop: "EventLoop", limit: int) -> tuple[list[Transport], int]:
    """The transports by their fds, and how many were left out."""
    transports = sorted(loop._live_transports(), key=_system.fd_of)
    found = [_described(it) for it in transports[:limit]]
    return found, len(transports) - len(found)


def _described(transport: Any) -> Transport:
    protocol = transport.get_protocol()
    kind = _system.TRANSPORTS.get(type(transport), type(transport).__name__)
    size = getattr(transport, "get_write_buffer_size", None)
    buffered = size() if size is not None else 0
    if isinstance(protocol, sslproto.SSLProtocol):
        kind = "tls"
        inner: Any = protocol
        buffered += inner._get_write_buffer_size()
        protocol = inner._app_protocol
    return Transport(
        kind=kind,
        fd=_system.fd_of(transport),
        local=_address(transport.get_extra_info("sockname")),
        peer=_address(transport.get_extra_info("peername")),
        protocol=type(protocol).__name__,
        buffered=buffered,
        reading_paused=bool(getattr(transport, "_paused", False)),
        closing=transport.is_closing(),
    )


def _address(address: Any) -> str:
    """A socket's address in the usual spelling."""
    if isinstance(address, bytes):  # Of Linux's abstract names.
        return _names.plain("@" + address.lstrip(b"\0").decode("ascii", "backslashreplace"))
    if isinstance(address, str):
        return _names.plain(address)
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = str(address[0]), address[1]
        return _names.plain(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return "" if address is None else _names.plain(str(address))

"""The Python part of making a client's connection."""

import socket
from asyncio import base_events
from typing import TYPE_CHECKING, Any, Final

from . import _asyncio_hooks, _core

if TYPE_CHECKING:
    from ._unix import Loop

_events: Any = base_events
_stock: Any = _asyncio_hooks.StockLoop
_Socket = socket.socket
#: The methods of Python's sockets and of the loop that asyncio would call to connect.
_SOCKET: Final = (_Socket.__init__, _Socket.setblocking, _Socket.connect)
_METHODS: Final = {
    "_ensure_resolved": _stock._ensure_resolved,
    "_connect_sock": _stock._connect_sock,
    "sock_connect": _core.Loop.sock_connect,
    "_make_socket_transport": _core.Loop._make_socket_transport,
    "_create_connection_transport": _stock._create_connection_transport,
}
_INTERNET: Final = {socket.AF_INET, *([socket.AF_INET6] if _events._HAS_IPv6 else [])}


def dial(loop: "Loop", host: Any, port: Any) -> _core.Dialed | None:
    """A socket for a numeric address, without Python's socket object. None if there is none for the
    address, or if the program has replaced something that would get that object."""
    return loop._dial(host, port) if _is_plain(loop) else None


def _is_plain(loop: "Loop") -> bool:
    """Whether the program has replaced nothing that asyncio would use to connect: neither Python's
    sockets nor one of the methods, in a subclass or of the loop itself."""
    if _events.socket is not socket or socket.socket is not _Socket:
        return False
    if (_Socket.__init__, _Socket.setblocking, _Socket.connect) != _SOCKET:
        return False
    of_class, own = type(loop), loop.__dict__
    for name in _METHODS:
        if name in own or getattr(of_class, name) is not _METHODS[name]:
            return False
    return True


async def connected(loop: "Loop", dialed: _core.Dialed) -> socket.socket:
    """Waits for the outcome of a connection that was begun."""
    address = dialed.address
    sock: socket.socket = dialed.socket()
    try:
        await loop._connected(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def look_up_and_connect(loop: "Loop", sock: Any, address: Any) -> None:
    """Connects any socket to any address, as asyncio's `sock_connect` does."""
    _events._check_ssl_socket(sock)
    if loop.get_debug() and sock.gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")
    if sock.family in _INTERNET:
        resolved = await loop._ensure_resolved(
            address, family=sock.family, type=sock.type, proto=sock.proto, loop=loop
        )
        _, _, _, _, address = resolved[0]
    await loop._connect_to(sock, address)

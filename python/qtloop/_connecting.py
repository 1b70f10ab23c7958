"""The Python part of making a client's connection."""

import asyncio
import socket
from asyncio import base_events
from typing import TYPE_CHECKING, Any, Final

from . import _asyncio_hooks, _core

if TYPE_CHECKING:
    from ._unix import Loop

_events: Any = base_events
_stock: Any = _asyncio_hooks.StockLoop
_Socket = socket.socket
_SOCKET: Final = (_Socket.__init__, _Socket.setblocking, _Socket.connect)
_INTERNET: Final = {socket.AF_INET, *([socket.AF_INET6] if _events._HAS_IPv6 else [])}
#: The methods that asyncio would call to connect. A subclass, or the loop itself, may have others.
_STOCK: Final = {
    "_ensure_resolved": _stock._ensure_resolved,
    "_connect_sock": _stock._connect_sock,
}
_CONNECT: Final = {"sock_connect": _core.Loop.sock_connect}
#: All that are passed by if the connection is made without Python's socket object.
_ALL: Final = {
    **_STOCK,
    **_CONNECT,
    "_make_socket_transport": _core.Loop._make_socket_transport,
    "_create_connection_transport": _stock._create_connection_transport,
}


def is_plain(loop: "Loop", methods: dict[str, Any] = _STOCK) -> bool:
    """Whether the program has replaced nothing that asyncio would use to connect: neither Python's
    sockets nor one of the methods, in a subclass or of the loop itself."""
    if _events.socket is not socket or socket.socket is not _Socket:
        return False
    of_class, own = type(loop), loop.__dict__
    for name in methods:
        if name in own or getattr(of_class, name) is not methods[name]:
            return False
    return True


def dial(loop: "Loop", host: Any, port: Any) -> _core.Dialed | None:
    """A socket for a numeric address that is connected without Python's socket object. None if
    the program has replaced something that would get that object."""
    methods = (_Socket.__init__, _Socket.setblocking, _Socket.connect)
    if methods != _SOCKET or not is_plain(loop, _ALL):
        return None
    return loop._dial(host, port)


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


def plain_address(loop: "Loop", host: Any, port: Any) -> tuple[int, int, int, Any] | None:
    """Family, type, protocol and address of a numeric host. None if the host is not numeric, or if
    the program has replaced a function that asyncio would call to connect."""
    if type(host) is not str or not is_plain(loop):
        return None
    info = _events._ipaddr_info(host, port, 0, socket.SOCK_STREAM, 0)
    if info is None:
        return None
    family, kind, protocol, _, address = info
    return family, kind, protocol, address


async def connect(
    loop: "Loop", family: int, kind: int, protocol: int, address: Any
) -> socket.socket:
    """Makes a socket and connects it to the address."""
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if is_plain(loop, _CONNECT):
            await loop._connect_to(sock, address)  # No other callback has to run first.
        else:
            await loop.sock_connect(sock, address)
    except OSError:
        sock.close()
        # In asyncio a connection is never refused before the others have had their turn. A slot
        # that connects has then shown what it is about to do.
        await asyncio.sleep(0)
        raise
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

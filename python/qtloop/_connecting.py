"""How a client's connection comes about, as far as it is Python's."""

import socket
from asyncio import base_events
from typing import TYPE_CHECKING, Any, Final

from . import _asyncio_hooks, _core

if TYPE_CHECKING:
    from ._unix import Loop

_events: Any = base_events
_stock: Any = _asyncio_hooks.StockLoop
_ENSURE_RESOLVED: Final = _stock._ensure_resolved
_CONNECT_SOCK: Final = _stock._connect_sock
_SOCK_CONNECT: Final = _core.Loop.sock_connect
_Socket = socket.socket
_INTERNET: Final = {socket.AF_INET, *([socket.AF_INET6] if _events._HAS_IPv6 else [])}


def plain_address(loop: "Loop", host: Any, port: Any) -> tuple[int, int, int, Any] | None:
    """Family, type, protocol and address of a numeric host, if nothing of the program's stands in
    the way to a connection with it."""
    if (
        type(host) is not str
        or _events.socket is not socket
        or socket.socket is not _Socket
        or not _is_stock(loop, "_ensure_resolved", _ENSURE_RESOLVED)
        or not _is_stock(loop, "_connect_sock", _CONNECT_SOCK)
    ):
        return None
    info = _events._ipaddr_info(host, port, 0, socket.SOCK_STREAM, 0)
    if info is None:
        return None
    family, kind, protocol, _, address = info
    return family, kind, protocol, address


def _is_stock(loop: "Loop", name: str, method: Any) -> bool:
    """Whether neither a subclass nor the loop itself has another method of the name."""
    return getattr(type(loop), name) is method and name not in loop.__dict__


async def connect(
    loop: "Loop", family: int, kind: int, protocol: int, address: Any
) -> socket.socket:
    """A socket that is connected with the address."""
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if _is_stock(loop, "sock_connect", _SOCK_CONNECT):
            await loop._connect_to(sock, address)  # Nobody has to run before the waiter does.
        else:
            await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def look_up_and_connect(loop: "Loop", sock: Any, address: Any) -> None:
    """`sock_connect` of any socket with any address, as asyncio's own."""
    _events._check_ssl_socket(sock)
    if loop.get_debug() and sock.gettimeout() != 0:
        raise ValueError("the socket must be non-blocking")
    if sock.family in _INTERNET:
        resolved = await loop._ensure_resolved(
            address, family=sock.family, type=sock.type, proto=sock.proto, loop=loop
        )
        _, _, _, _, address = resolved[0]
    await loop._connect_to(sock, address)

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
_ENSURE_RESOLVED: Final = _stock._ensure_resolved
_CONNECT_SOCK: Final = _stock._connect_sock
_SOCK_CONNECT: Final = _core.Loop.sock_connect
_Socket = socket.socket
_INTERNET: Final = {socket.AF_INET, *([socket.AF_INET6] if _events._HAS_IPv6 else [])}


def plain_address(loop: "Loop", host: Any, port: Any) -> tuple[int, int, int, Any] | None:
    """Family, type, protocol and address of a numeric host. None if the host is not numeric, or if
    the program has replaced a function that asyncio would call to connect."""
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
    """Whether neither a subclass nor the loop itself has replaced the method of that name."""
    return getattr(type(loop), name) is method and name not in loop.__dict__


async def connect(
    loop: "Loop", family: int, kind: int, protocol: int, address: Any
) -> socket.socket:
    """Makes a socket and connects it to the address."""
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if _is_stock(loop, "sock_connect", _SOCK_CONNECT):
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

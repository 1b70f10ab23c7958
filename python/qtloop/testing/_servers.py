"""How a simulated stream begins: listeners, and connecting to them."""

import asyncio
import contextvars
import errno
import os
import socket
import sys
from asyncio import sslproto
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ._streams import Address, End, Socket, StreamTransport

if TYPE_CHECKING:
    from ._machines import Machine

#: Seconds after which a connection that nobody answers is given up, as by Linux.
CONNECT_PATIENCE: Final = 127.0

#: Whether `wait_closed` of a closed server waits for its connections. On 3.11 asyncio's does not.
_WAITS_FOR_CLIENTS: Final = sys.version_info >= (3, 12)

#: The options of TLS, which go to `SSLProtocol`.
_TLS: Final = ("ssl_handshake_timeout", "ssl_shutdown_timeout")


class Listener(asyncio.AbstractServer):
    """A server of a machine: has the methods of `asyncio.Server`."""

    def __init__(
        self, machine: "Machine", factory: Callable[[], Any], port: int, options: dict[str, Any]
    ) -> None:
        self._machine = machine
        self._factory = factory
        self._options = options
        self._context = contextvars.copy_context()
        self._address = (machine.address, port)
        self._sockets = (Socket(socket.SOCK_STREAM, self._address),)
        self._is_open = True
        self._accepts = False
        self._clients: dict[StreamTransport, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._serving: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._machine.name}:{self._address[1]}>"

    @property
    def sockets(self) -> tuple[Any, ...]:
        """Objects with the server's address; none when it is closed."""
        return self._sockets if self._is_open else ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._machine._loop

    def is_serving(self) -> bool:
        return self._accepts

    async def start_serving(self) -> None:
        self._accepts = self._is_open
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        if self._serving is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if not self._is_open:
            raise RuntimeError(f"server {self!r} is closed")
        self._accepts = True
        self._serving = self.get_loop().create_future()
        try:
            await self._serving
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._serving = None

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = self._accepts = False
        self._machine._listeners.pop(self._address[1], None)
        if self._serving is not None and not self._serving.done():
            self._serving.cancel()
        self._wake()

    def close_clients(self) -> None:
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        for transport in list(self._clients):
            transport.abort()

    async def wait_closed(self) -> None:
        if self._is_open or (self._clients and _WAITS_FOR_CLIENTS):
            waiter = self.get_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def __aenter__(self) -> "Listener":
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()
        await self.wait_closed()

    def _attach(self, transport: StreamTransport) -> None:
        self._clients[transport] = None

    def _detach(self, transport: StreamTransport) -> None:
        self._clients.pop(transport, None)
        self._wake()

    def _wake(self) -> None:
        if not self._is_open and not self._clients:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    def _accept(self, end: End) -> None:
        """Makes the protocol of a new connection."""
        self._machine._loop.call_soon(self._begin, end, context=self._context.copy())

    def _begin(self, end: End) -> None:
        if not self._is_open:
            return end.reset()
        _transport(end, self._factory(), self, None, server_side=True, **self._options)


def serve(
    machine: "Machine",
    factory: Callable[[], Any],
    host: Any,
    port: Any,
    *,
    ssl: Any = None,
    start_serving: bool = True,
    **options: Any,
) -> Listener:
    """As `loop.create_server` of a machine."""
    machine._check_up()
    hosts = [host] if isinstance(host, str) or host is None else list(host)
    for name in hosts:
        if machine._network._find(name, machine) is not machine:
            raise _bind_error(errno.EADDRNOTAVAIL, (name, port))
    port = int(port or 0) or machine._new_port(machine._listeners)
    if port in machine._listeners:
        raise _bind_error(errno.EADDRINUSE, (machine.address, port))
    tls = {name: options.get(name) for name in _TLS}
    listener = Listener(machine, factory, port, {"ssl": ssl, **tls})
    listener._accepts = start_serving
    machine._listeners[port] = listener
    return listener


async def connect(
    machine: "Machine",
    factory: Callable[[], Any],
    host: Any,
    port: Any,
    *,
    ssl: Any = None,
    server_hostname: str | None = None,
    local_addr: Address | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """As `loop.create_connection` of a machine."""
    machine._check_up()
    if host is None and port is None:
        raise ValueError("host and port was not specified and no sock specified")
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    end = await _establish(machine, host, int(port), local_addr)
    try:
        protocol = factory()
        waiter = machine._loop.create_future()
        tls = {name: options.get(name) for name in _TLS}
        hostname = server_hostname or (host if ssl else None)
        transport = _transport(
            end, protocol, None, waiter, server_side=False, ssl=ssl, hostname=hostname, **tls
        )
    except BaseException:
        end.reset()
        raise
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    return transport, protocol


async def _establish(machine: "Machine", host: Any, port: int, local: Address | None) -> End:
    """The client's end of a new connection."""
    network, loop = machine._network, machine._loop
    target = network._find(host, machine)
    link = network.link(machine.name, target.name)
    own_port = (local[1] if local is not None else 0) or machine._new_port(())
    client = End(machine, (machine.address, own_port), link)
    server = End(target, (target.address, port), link)
    client.peer, server.peer = server, client
    answer: asyncio.Future[int] = loop.create_future()
    network._note("connect", str(client), str(server))

    has_arrived = False

    def arrive() -> None:
        nonlocal has_arrived
        has_arrived = True
        listener = target._listeners.get(port)
        if listener is None or not listener.is_serving():
            network._note("refused", str(server), str(client))
            server.is_closed = True
            server.tell(lambda: _settle(answer, errno.ECONNREFUSED))
        else:
            server.tell(lambda: _settle(answer, 0))
            listener._accept(server)

    client.tell(arrive)
    limit = loop._at(loop.time() + CONNECT_PATIENCE, _settle, answer, errno.ETIMEDOUT)
    try:
        number = await answer
        machine._check_up()
    except BaseException:
        client.give_up(has_arrived)
        raise
    finally:
        limit.cancel()
    if number:
        client.give_up(has_arrived and number != errno.ECONNREFUSED)
        raise OSError(number, f"Connect call failed {server.address}")
    return client


def _settle(answer: "asyncio.Future[int]", number: int) -> None:
    if not answer.done():
        answer.set_result(number)


def _transport(
    end: End,
    protocol: Any,
    server: Any,
    waiter: Any,
    *,
    server_side: bool,
    ssl: Any = None,
    hostname: str | None = None,
    **timeouts: Any,
) -> Any:
    if not ssl:
        return StreamTransport(end, protocol, server, waiter)
    context: Any = None if isinstance(ssl, bool) else ssl
    given = {name: value for name, value in timeouts.items() if value is not None}
    tls = sslproto.SSLProtocol(
        end.machine._loop, protocol, context, waiter, server_side, hostname, **given
    )
    StreamTransport(end, tls, server)
    return tls._app_transport


def _bind_error(number: int, address: Any) -> OSError:
    return OSError(
        number,
        f"error while attempting to bind on address {address!r}: {os.strerror(number).lower()}",
    )

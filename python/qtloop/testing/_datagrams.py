"""Simulated datagrams: they may be lost, and overtake each other."""

import asyncio
import contextvars
import errno
import socket
from asyncio import transports
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._streams import Address, Socket, error

if TYPE_CHECKING:
    from ._machines import Machine


class DatagramEndpoint(transports.DatagramTransport):
    """A transport that sends and receives datagrams. It keeps no datagram back, so the protocol is
    never paused."""

    def __init__(
        self, machine: "Machine", protocol: Any, address: Address, remote: Address | None
    ) -> None:
        extra = {
            "socket": Socket(socket.SOCK_DGRAM, address, remote),
            "sockname": address,
            "peername": remote,
        }
        super().__init__(extra)
        self._machine = machine
        self._protocol: Any = protocol
        self._address = address
        self._remote = remote
        self._context = contextvars.copy_context()
        self._closing = False
        machine._endpoints[address[1]] = self
        self._soon(protocol.connection_made, self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._machine.name}:{self._address[1]}>"

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Sends a datagram, which arrives later, or never."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._remote is not None and addr not in (None, self._remote):
            raise ValueError(f"Invalid address: must be None or {self._remote}")
        to = self._remote or addr
        if to is None or self._closing:
            return
        network = self._machine._network
        target = network._find(to[0], self._machine)
        link = network.link(self._machine.name, target.name)
        names = f"{self._machine.name}:{self._address[1]}", f"{target.name}:{to[1]}"
        is_lost = link._is_lost() or link.is_cut
        network._note("lost" if is_lost else "datagram", *names, len(data))
        at = link._leaves(self._machine, len(data)) + link._delay()
        if not is_lost:
            self._machine._loop._at(at, self._arrive, target, to[1], bytes(data))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Closes the endpoint: nothing is received any more."""
        if not self._closing:
            self._closing = True
            self._machine._endpoints.pop(self._address[1], None)
            self._soon(self._end)

    def abort(self) -> None:
        self.close()

    def _arrive(self, target: "Machine", port: int, data: bytes) -> None:
        link = self._machine._network.link(self._machine.name, target.name)
        if link.is_cut:
            return
        endpoint = target._endpoints.get(port)
        if endpoint is None:
            if self._remote is not None:  # Only then does the kernel know whom to tell.
                loop = self._machine._loop
                loop._at(loop.time() + link._delay(), self._soon, self._refuse)
        elif endpoint._remote in (None, self._address):
            endpoint._soon(endpoint._receive, data, self._address)

    def _receive(self, data: bytes, source: Address) -> None:
        if not self._closing:
            self._protocol.datagram_received(data, source)

    def _refuse(self) -> None:
        if not self._closing:
            self._protocol.error_received(error(errno.ECONNREFUSED))

    def _end(self) -> None:
        protocol, self._protocol = self._protocol, None
        protocol.connection_lost(None)

    def _soon(self, callback: Any, *args: Any) -> None:
        self._machine._loop.call_soon(callback, *args, context=self._context)


async def open_endpoint(
    machine: "Machine",
    factory: Callable[[], Any],
    local: Address | None,
    remote: Address | None,
    **options: Any,
) -> tuple[DatagramEndpoint, Any]:
    """As `loop.create_datagram_endpoint` of a machine."""
    machine._check_up()
    if local is None and remote is None:
        raise ValueError("unexpected address family")
    port = (local[1] if local is not None else 0) or machine._new_port(machine._endpoints)
    if port in machine._endpoints:
        raise error(errno.EADDRINUSE)
    if remote is not None:
        remote = (machine._network._find(remote[0], machine).address, remote[1])
    protocol = factory()
    endpoint = DatagramEndpoint(machine, protocol, (machine.address, port), remote)
    await asyncio.sleep(0)  # Until connection_made was called.
    return endpoint, protocol

"""A TCP echo server and its clients, all in this thread, as fast as they can go."""

import asyncio

from ..meters import Counter

PAYLOAD = bytes(range(256)) * 4


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class EchoTraffic:
    """The clients' number may be changed at any time, from a slot too."""

    def __init__(self, round_trips: Counter, clients: int) -> None:
        self.clients = clients
        self._round_trips = round_trips
        self._changed = asyncio.Event()

    def set_clients(self, clients: int) -> None:
        self.clients = clients
        self._changed.set()

    async def run(self) -> None:
        server = await asyncio.get_running_loop().create_server(EchoProtocol, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        # The group is the inner one: its clients hang up before the server waits for its
        # connections to end.
        async with server, asyncio.TaskGroup() as group:
            await self._keep_clients(port, group)

    async def _keep_clients(self, port: int, group: asyncio.TaskGroup) -> None:
        tasks: list[asyncio.Task[None]] = []
        while True:
            self._changed.clear()
            while len(tasks) < self.clients:
                tasks.append(group.create_task(self._client(port), name="echo client"))
            while len(tasks) > self.clients:
                tasks.pop().cancel()
            await self._changed.wait()

    async def _client(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(PAYLOAD)
                if await reader.readexactly(len(PAYLOAD)) != PAYLOAD:
                    raise ValueError("the echo differs from what was sent")
                self._round_trips.total += 1
        finally:
            writer.close()
            await writer.wait_closed()

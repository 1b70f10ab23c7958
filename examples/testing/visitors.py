"""A list of visitors that a server keeps, and a client that goes on through the failures of the
network: the program that `test_visitors.py` tests."""

import asyncio

PORT = 7000


class Visitors:
    """The server: each line is a name, and is answered with the number of names so far."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()

    async def serve(self) -> None:
        async with await asyncio.start_server(self._answer, port=PORT) as server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await self.add(line.decode().strip())
            writer.write(b"%d\n" % len(self.names))
        writer.close()

    async def add(self, name: str) -> None:
        async with self._lock:
            await self._add(name)

    async def _add(self, name: str) -> None:
        names = self.names
        await self._save(names | {name})
        self.names = names | {name}

    async def _save(self, names: frozenset[str]) -> None:
        """Lets others run, as a database would."""
        await asyncio.sleep(0)


async def visit(host: str, name: str, patience: float = 3) -> int:
    """Adds a name, and tries again every second until there is an answer."""
    while True:
        try:
            async with asyncio.timeout(patience):
                return await _ask(host, name)
        except OSError:  # TimeoutError is one.
            await asyncio.sleep(1)


async def _ask(host: str, name: str) -> int:
    reader, writer = await asyncio.open_connection(host, PORT)
    try:
        writer.write(name.encode() + b"\n")
        if answer := await reader.readline():
            return int(answer)
        raise ConnectionResetError("the server has gone")
    finally:
        writer.close()

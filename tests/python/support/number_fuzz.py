"""A fuzzer that gives each number away at once.

Random transports, operations, servers and pipes live and end, by themselves, by the program's hand,
and by the program's errors; each number that becomes free is taken by a stranger before the loop
goes on. Nobody may do anything to a stranger, and every connection's bytes are its own.

Alone, for longer:
`python -m tests.python.support.number_fuzz [--seconds N] [--seed N] [--loop NAME]`.
"""

import argparse
import asyncio
import contextlib
import functools
import gc
import os
import random
import socket
import ssl
import tempfile
import time
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from .certificates import make_certificate
from .loops import OURS, LoopFactory, opened, qt_core
from .strangers import Stranger, is_open

#: What a step may fail with: it is the program's own fault.
EXPECTED = (OSError, RuntimeError, ValueError, AttributeError, TypeError, EOFError, AssertionError)

#: The most of each kind at a time.
MOST = 6


class Fuzz:
    """One run: so many steps, as the seed says."""

    def __init__(self, loop: AbstractEventLoop, seed: int, folder: Path) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.folder = folder
        self.file = folder / "file"
        self.file.write_bytes(b"F" * (1 << 20))
        self.numbers: set[int] = set()
        self.strangers: dict[int, Stranger] = {}
        self.ends: list[Any] = []
        self.late: list[Any] = []
        self.peers: dict[socket.socket, int] = {}
        self.servers: list[Any] = []
        self.tasks: set[asyncio.Future[Any]] = set()
        self.complaints: list[str] = []
        self.tag = 0
        self.depth = 0
        self.readers: dict[int, list[int]] = {}

    # Numbers.

    def watch_over(self, number: int) -> None:
        """Its number will be given away as soon as it is free."""
        self.numbers.add(number)

    def give_away(self) -> None:
        """Gives every number that is free to a stranger."""
        for number in [*self.numbers]:
            if not is_open(number):
                self.numbers.discard(number)
                self.strangers[number] = Stranger(number)
                if self.random.random() < 0.3:
                    self.listen_to(number)

    def listen_to(self, number: int) -> None:
        """A stranger uses the loop too."""
        calls: list[int] = [0]

        def readable() -> None:
            calls[0] += 1

        # On stock the number is still the former transport's.
        with contextlib.suppress(RuntimeError):
            self.loop.add_reader(number, readable)
            self.readers[number] = calls

    def visit_strangers(self, share: float = 0.3) -> None:
        for number in [*self.strangers]:
            if self.random.random() >= share:
                continue
            calls = self.readers.get(number)
            if calls is not None and not calls[0]:
                continue  # The loop has not had its turn yet.
            if calls is not None:
                self.readers.pop(number)
                if not self.loop.remove_reader(number):
                    self.complaints.append(f"the watch of {number} was ended")
            stranger = self.strangers.pop(number)
            try:
                stranger.leave()
            except AssertionError as error:
                self.complaints.append(str(error))

    async def hear_all(self) -> None:
        """Every stranger that listens is heard."""
        deadline = time.monotonic() + 10
        while any(not calls[0] for calls in self.readers.values()):
            if time.monotonic() > deadline:
                silent = [number for number, calls in self.readers.items() if not calls[0]]
                self.complaints.append(f"the readers of {silent} are not called")
                for number in silent:
                    self.readers.pop(number)
                    self.loop.remove_reader(number)
                return
            await asyncio.sleep(0.001)

    # What happens in callbacks.

    def anything(self) -> None:
        """In the middle of a callback: another step, a nested loop."""
        self.give_away()
        choice = self.random.random()
        if choice < 0.15 and self.depth < 3:
            self.depth += 1
            qt_core.QCoreApplication.processEvents()
            self.depth -= 1
            self.give_away()
        elif choice < 0.3:
            self.attempt(self.random.choice([self.use, self.misuse, self.end, self.too_late]))

    def attempt(self, step: Callable[[], Any]) -> None:
        with contextlib.suppress(*EXPECTED):
            outcome = step()
            if asyncio.iscoroutine(outcome):
                self.start(outcome)
        self.give_away()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(self.quiet(coroutine))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        # Cancelled before it began, it would complain.
        task.add_done_callback(lambda _: coroutine.close())

    async def quiet(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        with contextlib.suppress(*EXPECTED):
            await coroutine
        self.give_away()

    # Beginnings.

    def next_tag(self) -> int:
        self.tag = self.tag % 200 + 1
        return self.tag

    def pair(self) -> tuple[socket.socket, int]:
        ours, peer = socket.socketpair()
        for sock in (ours, peer):
            sock.setblocking(False)
        tag = self.next_tag()
        self.peers[peer] = tag
        self.watch_over(ours.fileno())
        return ours, tag

    async def connect(self) -> None:
        if len(self.ends) >= MOST:
            return
        ours, tag = self.pair()
        protocol = self.random.choice([End, BufferedEnd])(self, tag)
        await self.loop.create_connection(lambda: protocol, sock=ours)

    async def serve(self) -> None:
        if len(self.servers) >= 2:
            return
        path = str(self.folder / f"server {self.random.random()}")
        kind = self.random.choice([End, BufferedEnd])
        server = await self.loop.create_unix_server(lambda: kind(self, self.tag), path)
        self.servers.append((server, path))
        self.watch_over(server.sockets[0].fileno())

    async def call(self) -> None:
        """A connection that the loop accepts. Its peer is not the loop's."""
        if not self.servers or len(self.ends) >= MOST:
            return
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        tag = self.next_tag()
        with contextlib.suppress(BlockingIOError):
            peer.connect(self.random.choice(self.servers)[1])
        self.peers[peer] = tag

    async def datagrams(self) -> None:
        if len(self.ends) >= MOST:
            return
        ours, peer = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        peer.bind(("127.0.0.1", 0))
        ours.connect(peer.getsockname())
        peer.setblocking(False)
        tag = self.next_tag()
        self.peers[peer] = tag
        self.watch_over(ours.fileno())
        await self.loop.create_datagram_endpoint(lambda: DatagramEnd(self, tag), sock=ours)

    async def pipe(self) -> None:
        if len(self.ends) >= MOST:
            return
        reader, writer = os.pipe()
        ends = os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)
        protocol, tag = End(self, self.next_tag()), self.tag
        if self.random.random() < 0.5:
            self.watch_over(reader)
            ends[1].write(bytes([tag]) * 10)
            await self.loop.connect_read_pipe(lambda: protocol, ends[0])
            self.loop.call_later(0.01, ends[1].close)
        else:
            self.watch_over(writer)
            await self.loop.connect_write_pipe(lambda: protocol, ends[1])
            self.loop.call_later(0.01, ends[0].close)
        protocol.file = (
            ends[0] if protocol.transport is None else protocol.transport.get_extra_info("pipe")
        )

    async def tls(self) -> None:
        """Both ends are the loop's."""
        if len(self.ends) >= MOST:
            return
        server_context, client_context = contexts()
        ours, other = socket.socketpair()
        tag = self.next_tag()
        for sock in (ours, other):
            sock.setblocking(False)
            self.watch_over(sock.fileno())
        accepting = self.loop.connect_accepted_socket(
            lambda: End(self, tag), other, ssl=server_context
        )
        self.start(asyncio.wait_for(accepting, 1))
        connecting = self.loop.create_connection(
            lambda: End(self, tag), sock=ours, ssl=client_context, server_hostname="localhost"
        )
        await asyncio.wait_for(connecting, 1)

    async def operate(self) -> None:
        """An operation on a socket of the program's, which may be closed meanwhile."""
        ours, tag = self.pair()
        close = self.loop.call_later(self.random.random() * 0.01, self.attempt, ours.close)
        operation = self.random.choice(
            ["recv", "recv_into", "sendall", "recvfrom", "sendfile", "connect"]
        )
        try:
            async with asyncio.timeout(0.02):
                if operation == "sendall":
                    await self.loop.sock_sendall(ours, bytes([tag]) * 1_000_000)
                elif operation == "recv_into":
                    await self.loop.sock_recv_into(ours, bytearray(100))
                elif operation == "sendfile":
                    with self.file_of(tag).open("rb") as file:
                        self.watch_over(file.fileno())
                        await self.loop.sock_sendfile(ours, file)
                elif operation == "connect":
                    await self.loop.sock_connect(ours, "/nowhere")
                else:
                    await getattr(self.loop, f"sock_{operation}")(ours, 100)
        except TimeoutError:
            pass
        finally:
            close.cancel()
            ours.close()

    def file_of(self, tag: int) -> Path:
        path = self.folder / f"file {tag}"
        if not path.exists():
            path.write_bytes(bytes([tag]) * 600_000)
        return path

    # What is done to what there is.

    def use(self) -> Any:
        if not self.ends:
            return None
        end = self.random.choice(self.ends)
        size = self.random.choice([1, 100, 70_000, 1_000_000])
        return self.random.choice(
            [end.write, end.writelines, end.pause, end.resume, end.ask, end.send_file]
        )(size)

    def end(self) -> None:
        """A transport is closed as it should be."""
        if self.ends:
            end = self.random.choice(self.ends)
            end.write(self.random.choice([0, 1_000, 1_000_000]))
            self.random.choice(
                [
                    end.transport.close,
                    end.transport.abort,
                    getattr(end.transport, "write_eof", print),
                ]
            )()

    def misuse(self) -> None:
        """The program closes what is not its own any more."""
        if self.random.random() < 0.1 and self.servers:
            server, _ = self.servers.pop()
            server.sockets[0]._sock.close()
            self.give_away()
            server.close()
        elif self.ends:
            end = self.random.choice(self.ends)
            end.close_behind()
            self.give_away()
            if self.random.random() < 0.7:
                end.write(self.random.choice([1, 1_000_000]))

    def too_late(self) -> None:
        if not self.late:
            return
        end = self.random.choice(self.late[-20:])
        do = [end.write, end.writelines, end.pause, end.resume, end.ask]
        for step in self.random.sample(do, 3):
            with contextlib.suppress(*EXPECTED):
                step(self.random.choice([1, 100_000]))
        self.random.choice(
            [end.transport.close, getattr(end.transport, "abort", end.transport.close)]
        )()

    def stop_serving(self) -> None:
        if self.servers:
            self.servers.pop(0)[0].close()

    def peers_act(self) -> None:
        """The other ends read, write and go."""
        for peer, tag in [*self.peers.items()]:
            choice = self.random.random()
            try:
                if choice < 0.5:
                    self.check(peer.recv(1 << 20), tag, f"peer {peer.fileno()}")
                elif choice < 0.7:
                    peer.send(bytes([tag]) * self.random.choice([1, 5_000]))
                elif choice < 0.75:
                    self.peers.pop(peer)
                    peer.close()
            except BlockingIOError:
                pass
            except OSError:
                self.peers.pop(peer, None)
                peer.close()

    def check(self, data: bytes | bytearray, tag: int, who: str) -> None:
        if data.strip(bytes([tag, ord("F")])):
            self.complaints.append(f"{who} got what is not its own: {bytes(data[:10])!r} for {tag}")

    # The run.

    async def run(self, steps: int) -> None:
        actions: dict[Callable[[], Any], int] = {
            self.connect: 4, self.call: 5, self.serve: 2, self.datagrams: 2, self.pipe: 3,
            self.operate: 4, self.tls: 2, self.use: 12, self.end: 5, self.misuse: 3,
            self.too_late: 8, self.stop_serving: 1,
            self.peers_act: 12, gc.collect: 1,
        }  # fmt: skip
        for _ in range(steps):
            action = self.random.choices([*actions], [*actions.values()])[0]
            self.attempt(action)
            if self.random.random() < 0.7:
                await asyncio.sleep(0)
            elif self.random.random() < 0.1:
                await asyncio.sleep(0.002)
            self.give_away()
            self.visit_strangers()
            assert not self.complaints, self.complaints
        await self.finish()
        assert not self.complaints, self.complaints

    async def finish(self) -> None:
        for server, _ in self.servers:
            server.close()
        for end in [*self.ends]:
            with contextlib.suppress(*EXPECTED):
                end.transport.abort() if hasattr(end.transport, "abort") else end.transport.close()
        while self.tasks:
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(self.tasks)
        await asyncio.sleep(0.02)
        self.give_away()
        await self.hear_all()
        self.numbers.clear()
        self.visit_strangers(share=2)
        for peer in self.peers:
            peer.close()


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and that of a client which trusts it."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
        make_certificate(certificate, key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate, key)
        return server, ssl.create_default_context(cafile=str(certificate))


def number_of(transport: Any) -> int:
    if hasattr(transport, "_ssl_protocol"):
        transport = transport._ssl_protocol._transport
    return transport._fileno if hasattr(transport, "_fileno") else transport._sock_fd  # type: ignore[no-any-return]


class End(asyncio.Protocol):
    """This end of a connection."""

    def __init__(self, fuzz: Fuzz, tag: int) -> None:
        self.fuzz = fuzz
        self.tag = tag
        self.transport: Any = None
        self.file: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.fuzz.watch_over(number_of(transport))
        self.fuzz.ends.append(self)
        self.fuzz.anything()

    def data_received(self, data: bytes) -> None:
        self.fuzz.anything()

    def eof_received(self) -> bool:
        self.fuzz.anything()
        return self.fuzz.random.random() < 0.3

    def pause_writing(self) -> None:
        self.fuzz.anything()

    def resume_writing(self) -> None:
        self.fuzz.anything()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.fuzz.ends:
            self.fuzz.ends.remove(self)
            self.fuzz.late.append(self)
        if self.fuzz.random.random() < 0.3:
            for _ in range(3):
                with contextlib.suppress(*EXPECTED):
                    self.write(1_000_000)
        self.fuzz.anything()
        self.fuzz.loop.call_soon(self.fuzz.give_away)

    def data(self, size: int) -> bytes:
        return b"F" * size

    def write(self, size: int) -> None:
        self.transport.write(self.data(size))

    def writelines(self, size: int) -> None:
        self.transport.writelines([self.data(size), self.data(1)])

    def pause(self, _: int) -> None:
        self.transport.pause_reading()

    def resume(self, _: int) -> None:
        self.transport.resume_reading()

    def ask(self, _: int) -> None:
        for name in ("socket", "peername", "sockname", "pipe"):
            self.transport.get_extra_info(name)
        repr(self.transport)

    async def send_file(self, _: int) -> None:
        with self.fuzz.file.open("rb") as file:
            self.fuzz.watch_over(file.fileno())
            self.fuzz.loop.call_later(0.005, file.close)
            async with asyncio.timeout(0.02):
                await self.fuzz.loop.sendfile(self.transport, file)

    def close_behind(self) -> None:
        if (pipe := self.transport.get_extra_info("pipe")) is not None:
            pipe.close()
        else:
            self.transport.get_extra_info("socket")._sock.close()


class BufferedEnd(End, asyncio.BufferedProtocol):
    """The same, with a buffer of its own."""

    def get_buffer(self, sizehint: int) -> Any:
        self.fuzz.anything()
        return bytearray(1_000)

    def buffer_updated(self, nbytes: int) -> None:
        self.fuzz.anything()


class DatagramEnd(End, asyncio.DatagramProtocol):
    """The same, for datagrams."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.fuzz.anything()

    def error_received(self, error: Exception) -> None:
        self.fuzz.anything()

    def write(self, size: int) -> None:
        self.transport.sendto(self.data(min(size, 1_000)))

    def writelines(self, size: int) -> None:
        for _ in range(3):
            self.write(size)


def fuzz(factory: LoopFactory, seed: int, steps: int = 300) -> None:
    """One run. Raises AssertionError with what was done to strangers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        opened(factory) as loop,
    ):
        warnings.simplefilter("ignore", ResourceWarning)
        loop.set_exception_handler(lambda *_: None)
        run = Fuzz(loop, seed, Path(folder))
        loop.run_until_complete(asyncio.wait_for(run.run(steps), 60))


def main() -> None:
    parser = argparse.ArgumentParser(description="Gives each number away at once.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loop", choices=OURS, action="append")
    arguments = parser.parse_args()
    application = qt_core.QCoreApplication.instance() or qt_core.QCoreApplication(["fuzz"])
    end, seed = time.monotonic() + arguments.seconds, arguments.seed
    while time.monotonic() < end:
        for name in arguments.loop or OURS:
            print(name, seed, flush=True)
            fuzz(OURS[name], seed)
        seed += 1
    del application


if __name__ == "__main__":
    main()

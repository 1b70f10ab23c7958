"""What goes on at once. An actor is a coroutine that does one thing once, well or badly as its dice
fall."""

import asyncio
import contextlib
import os
import random
import socket
import struct
import threading
from asyncio import AbstractEventLoop, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import tls
from .checks import Buffered, Connection, Endpoint, Incoming, Pattern, Plain, protocol_for
from .ledger import Ledger, Provoked

SIZES = [1, 10, 100, 1_000, 10_000, 100_000, 1 << 20]
#: Large pieces are rare, or there would be nothing else.
WEIGHTS = [8, 8, 8, 8, 4, 2, 1]
RESET = struct.pack("ii", 1, 0)
#: Seconds after which a connection that was closed early, and whose peer may have been too, is
#: aborted.
SOON = 0.2


@dataclass
class Stage:
    """Where actors act."""

    loop: AbstractEventLoop
    ledger: Ledger
    folder: Path
    #: Runs Qt's event loop amid whatever runs, for so many seconds; None on the stock loop.
    nest: Callable[[float], None] | None
    contexts: tls.Contexts
    tcp: Any = None
    tls: Any = None
    unix: str = ""
    echo: Any = None

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Calls it before the round is over."""
        debt = object()
        self.ledger.owe(debt, "a timer did not fire")

        def fire() -> None:
            self.ledger.pay(debt, "a timer fired")
            call()

        self.loop.call_later(seconds, fire)

    def nest_briefly(self) -> None:
        if self.nest is not None:
            self.nest(0.002)


Actor = Callable[[Stage, random.Random], Awaitable[None]]


# Connections.


def make_endpoint(
    stage: Stage, chance: random.Random, connection: Connection | None = None
) -> Endpoint:
    def meet(endpoint: Endpoint) -> None:
        stage.ledger.spawn(drive(stage, endpoint))

    endpoint = Endpoint(stage.ledger, chance, connection, meet)
    if stage.nest is not None:
        endpoint.amid_data = stage.nest_briefly
    for callback in ("connection_made", "connection_lost", "pause_writing", "resume_writing"):
        if chance.random() < 0.05:
            endpoint.armed.add(callback)
    return endpoint


async def drive(stage: Stage, endpoint: Endpoint) -> None:
    """Sends and fiddles for a while, and comes to an end."""
    chance = endpoint.chance
    for _ in range(chance.randrange(12)):
        if not endpoint.is_usable:
            return
        await chance.choice(DEEDS)(stage, endpoint)
    await endpoint.writable()
    if endpoint.is_usable:
        chance.choices(ENDS, END_WEIGHTS)[0](stage, endpoint)


async def write(stage: Stage, endpoint: Endpoint) -> None:
    kind = endpoint.chance.choice([bytes, bytearray, memoryview])
    endpoint.transport.write(kind(endpoint.next_bytes(some_size(endpoint.chance))))


async def write_lines(stage: Stage, endpoint: Endpoint) -> None:
    sizes = [some_size(endpoint.chance) for _ in range(endpoint.chance.randrange(6))]
    endpoint.transport.writelines([memoryview(endpoint.next_bytes(size)) for size in sizes])


def some_size(chance: random.Random) -> int:
    return chance.choices(SIZES, WEIGHTS)[0]


async def drain(stage: Stage, endpoint: Endpoint) -> None:
    await endpoint.writable()


async def pause_for_a_while(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.pause()
    stage.later(endpoint.chance.random() * 0.01, endpoint.resume)


async def set_limits(stage: Stage, endpoint: Endpoint) -> None:
    low = endpoint.chance.choice([0, 1, 1_000, 50_000])
    endpoint.transport.set_write_buffer_limits(
        high=low + endpoint.chance.choice([0, 1, 10_000]), low=low
    )


async def change_protocol(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.transport.set_protocol(endpoint.chance.choice([Plain, Buffered])(endpoint))


async def nap(stage: Stage, endpoint: Endpoint) -> None:
    await asyncio.sleep(endpoint.chance.choice([0, 0, 0.001, 0.005]))


async def run_nested(stage: Stage, endpoint: Endpoint) -> None:
    if endpoint.chance.random() < 0.1:
        stage.nest_briefly()


DEEDS = [
    write,
    write,
    write,
    write_lines,
    drain,
    pause_for_a_while,
    set_limits,
    change_protocol,
    nap,
    run_nested,
]


def finish(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.finish()


def abort(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.break_off()
    endpoint.transport.abort()


def close(stage: Stage, endpoint: Endpoint) -> None:
    """While the peer may still be sending. If it does the same, nobody reads what either has
    left."""
    endpoint.break_off()
    endpoint.transport.close()
    stage.later(SOON, endpoint.give_up)


def reset(stage: Stage, endpoint: Endpoint) -> None:
    sock = endpoint.transport.get_extra_info("socket")
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    abort(stage, endpoint)


def fail_next(stage: Stage, endpoint: Endpoint) -> None:
    """The next data, or the end of it, meets an exception; if none comes all ends well."""
    endpoint.armed |= {"data_received", "buffer_updated", "get_buffer", "eof_received"}
    endpoint.finish()


ENDS = [finish, abort, close, reset, fail_next]
END_WEIGHTS = [10, 1, 1, 1, 1]


async def connect_and_drive(
    stage: Stage, chance: random.Random, connect: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> None:
    endpoint = make_endpoint(stage, chance, Connection(stage.ledger))
    connecting = asyncio.ensure_future(connect(lambda: protocol_for(endpoint)))
    if chance.random() < 0.05:
        endpoint.break_off()
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
        connecting.cancel()
    await asyncio.wait([connecting])
    if connecting.cancelled():
        stage.ledger.counts["cancelled"] += 1
        Connection.all.pop(endpoint.connection.number if endpoint.connection else 0, None)
        return
    connecting.result()
    endpoint.introduce()
    stage.ledger.counts["connections"] += 1
    await drive(stage, endpoint)


async def tcp(stage: Stage, chance: random.Random) -> None:
    address = stage.tcp.sockets[0].getsockname()
    await connect_and_drive(
        stage, chance, lambda make: stage.loop.create_connection(make, *address)
    )


async def unix(stage: Stage, chance: random.Random) -> None:
    await connect_and_drive(
        stage, chance, lambda make: stage.loop.create_unix_connection(make, stage.unix)
    )


async def socket_pair(stage: Stage, chance: random.Random) -> None:
    """Two transports without a server."""
    left, right = socket.socketpair()
    server_side = make_endpoint(stage, random.Random(chance.random()))
    await stage.loop.create_connection(lambda: protocol_for(server_side), sock=right)
    await connect_and_drive(stage, random.Random(chance.random()), fail_safe(stage, left))


def fail_safe(stage: Stage, sock: socket.socket) -> Callable[[Callable[[], Any]], Awaitable[Any]]:
    """Closes the socket if nobody takes it because the task was cancelled before its first step."""

    def connect(make: Callable[[], Any]) -> Awaitable[Any]:
        connecting = asyncio.ensure_future(stage.loop.create_connection(make, sock=sock))
        connecting.add_done_callback(lambda task: sock.close() if task.cancelled() else None)
        return connecting

    return connect


# Other ways to read and write.


async def streams(stage: Stage, chance: random.Random) -> None:
    """An echo."""
    reader, writer = await asyncio.open_connection(*stage.echo.sockets[0].getsockname())
    stage.ledger.counts["connections"] += 1
    pattern = Pattern(chance.randrange(1 << 30))
    incoming = Incoming(stage.ledger, pattern)
    size = sum(some_size(chance) for _ in range(3))

    async def send() -> None:
        sent = 0
        while sent < size:
            piece = pattern.piece(sent, min(size - sent, some_size(chance)))
            sent += len(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    sending = asyncio.ensure_future(send())
    is_cancelled = chance.random() < 0.1
    if is_cancelled:
        sending.add_done_callback(lambda _: writer.transport.abort())
        stage.later(chance.random() * 0.005, sending.cancel)
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(chance.choice([10, 1_000, 1 << 18])):
            incoming.take(data)
    await asyncio.wait([sending])
    if not is_cancelled:
        sending.result()
        stage.ledger.check(incoming.size == size, f"{size} bytes sent, {incoming.size} came back")
    elif not sending.cancelled():
        sending.exception()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def bare_sockets(stage: Stage, chance: random.Random) -> None:
    """`sock_*`, with waits that are cancelled before anything comes."""
    loop = stage.loop
    left, right = socket.socketpair()
    pattern = Pattern(chance.randrange(1 << 30))
    incoming = Incoming(stage.ledger, pattern)
    size = some_size(chance)
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        for _ in range(chance.randrange(3)):
            waiting = asyncio.ensure_future(loop.sock_recv(right, 10))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            stage.ledger.counts["cancelled"] += 1
        sending = asyncio.ensure_future(loop.sock_sendall(left, pattern.piece(0, size)))
        buffer = bytearray(chance.choice([1_000, 1 << 18]))
        while incoming.size < size:
            if chance.random() < 0.5:
                incoming.take(await loop.sock_recv(right, len(buffer)))
            else:
                incoming.take(bytes(buffer[: await loop.sock_recv_into(right, buffer)]))
        await sending


class Mailbox(asyncio.DatagramProtocol):
    """Datagrams that carry their numbers; some meet an exception once they were counted."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage = stage
        self._chance = chance
        self.arrived: list[int] = []
        self.transport: Any = None
        self._heard = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._stage.ledger.owe(self, "an endpoint was not lost")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number = int.from_bytes(data[:4], "big")
        self._stage.ledger.check(
            data[4:] == Pattern(number).piece(0, len(data) - 4), f"datagram {number}"
        )
        self._stage.ledger.counts["datagrams"] += 1
        self.arrived.append(number)
        self._heard.set()
        if self._chance.random() < 0.02:
            raise self._stage.ledger.provoke("datagram_received")

    def error_received(self, exc: Exception) -> None:
        if self._chance.random() < 0.5:
            raise self._stage.ledger.provoke("error_received")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage.ledger.pay(self, "an endpoint was lost")

    async def until(self, count: int) -> None:
        while len(self.arrived) < count:
            self._heard.clear()
            await self._heard.wait()


async def datagrams(stage: Stage, chance: random.Random) -> None:
    """Over Unix sockets, where none is lost."""
    path = str(stage.folder / f"{chance.random()}")
    receiver, sender = Mailbox(stage, chance), Mailbox(stage, chance)
    family: Any = {"family": socket.AF_UNIX}
    await stage.loop.create_datagram_endpoint(lambda: receiver, local_addr=path, **family)
    await stage.loop.create_datagram_endpoint(lambda: sender, remote_addr=path, **family)
    count = chance.randrange(1, 60)
    for number in range(count):
        data = bytearray(
            number.to_bytes(4, "big") + Pattern(number).piece(0, chance.randrange(2_000))
        )
        sender.transport.sendto(data)
        data[:] = b"changed too late"
        if chance.random() < 0.05:
            await asyncio.sleep(0)
    sender.transport.close()
    await receiver.until(count)
    stage.ledger.check(
        receiver.arrived == list(range(count)), f"datagrams came as {receiver.arrived}"
    )
    receiver.transport.close()
    os.unlink(path)


async def datagrams_to_nobody(stage: Stage, chance: random.Random) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
        sender = Mailbox(stage, chance)
        await stage.loop.create_datagram_endpoint(lambda: sender, remote_addr=address)
    for _ in range(chance.randrange(5)):
        try:
            sender.transport.sendto(b"anybody there?")
        except Provoked as error:  # What goes wrong in `sendto` is the sender's.
            stage.ledger.pay(error, "an exception was raised")
        await asyncio.sleep(0)
    sender.transport.close()


class PipeEnd(asyncio.Protocol):
    def __init__(self, stage: Stage, incoming: Incoming | None = None) -> None:
        self._ledger = stage.ledger
        self._incoming = incoming
        self.calls: list[str] = []
        self.lost: asyncio.Future[None] = stage.loop.create_future()

    def _note(self, callback: str) -> None:
        self._ledger.counts["callbacks"] += 1
        self.calls.append(callback)

    def connection_made(self, transport: Any) -> None:
        self._note("connection_made")

    def data_received(self, data: bytes) -> None:
        self._ledger.check(self.calls == ["connection_made"], f"data after {self.calls}")
        assert self._incoming is not None
        self._incoming.take(data)

    def eof_received(self) -> None:
        self._note("eof_received")

    def pause_writing(self) -> None:
        self._note("pause_writing")

    def resume_writing(self) -> None:
        self._note("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("connection_lost")
        self.lost.set_result(None)


async def pipes(stage: Stage, chance: random.Random) -> None:
    reading, writing = os.pipe()
    pattern = Pattern(chance.randrange(1 << 30))
    incoming = Incoming(stage.ledger, pattern)
    reader, writer = PipeEnd(stage, incoming), PipeEnd(stage)
    to_read, _ = await stage.loop.connect_read_pipe(lambda: reader, os.fdopen(reading, "rb", 0))
    to_write, _ = await stage.loop.connect_write_pipe(lambda: writer, os.fdopen(writing, "wb", 0))
    size = 0
    for _ in range(chance.randrange(1, 6)):
        piece = pattern.piece(size, some_size(chance))
        size += len(piece)
        to_write.write(chance.choice([bytes, bytearray, memoryview])(piece))
        if chance.random() < 0.2:
            to_read.pause_reading()
            stage.later(chance.random() * 0.005, to_read.resume_reading)
        await asyncio.sleep(0)
    is_whole = chance.random() < 0.8
    if is_whole:
        to_write.close()
    else:
        to_write.abort()
    await asyncio.gather(reader.lost, writer.lost)
    stage.ledger.check(incoming.size <= size, "the pipe made bytes up")
    stage.ledger.check(
        not is_whole or incoming.size == size, f"{size} written, {incoming.size} read"
    )
    stage.ledger.check(
        reader.calls == ["connection_made", "eof_received", "connection_lost"], str(reader.calls)
    )
    flow = writer.calls[1:-1]
    alternates = all(
        call == ("pause_writing", "resume_writing")[n % 2] for n, call in enumerate(flow)
    )
    stage.ledger.check(alternates and writer.calls[-1] == "connection_lost", str(writer.calls))


# Everything else.


async def threads(stage: Stage, chance: random.Random) -> None:
    """Calls of a thread all run, in their order, on the loop's thread."""
    ran: list[int] = []
    ours = threading.get_ident()
    count = chance.randrange(1, 200)

    def call(number: int) -> None:
        stage.ledger.check(threading.get_ident() == ours, "a call ran in the wrong thread")
        ran.append(number)

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    def work() -> None:
        for number in range(count):
            stage.loop.call_soon_threadsafe(call, number)
        for number in range(3):
            future = asyncio.run_coroutine_threadsafe(answer(number), stage.loop)
            stage.ledger.check(future.result(60) == number * 2, "a coroutine gave the wrong answer")

    await stage.loop.run_in_executor(None, work)
    stage.ledger.counts["threadsafe"] += count
    stage.ledger.check(ran == list(range(count)), f"calls of a thread ran as {ran}")


async def timers(stage: Stage, chance: random.Random) -> None:
    """Each fires once, not too early, or was cancelled."""
    ledger, loop = stage.ledger, stage.loop

    class Timer:
        def __init__(self, delay: float) -> None:
            self.deadline = loop.time() + delay
            ledger.owe(self, "a timer did not fire")
            self.handle = loop.call_at(self.deadline, self.fire)

        def fire(self) -> None:
            ledger.pay(self, "a timer fired")
            ledger.counts["timers"] += 1
            ledger.check(loop.time() >= self.deadline - 0.001, "a timer fired too early")
            if chance.random() < 0.02:
                raise ledger.provoke("a timer")

        def cancel(self) -> None:
            if not self.handle.cancelled() and ledger.owes(self):
                self.handle.cancel()
                ledger.pay(self, "a timer was cancelled")
                ledger.counts["cancelled"] += 1

    made = [Timer(chance.choice([-1, 0, 0.001, 0.01, 0.03]) * chance.random()) for _ in range(20)]
    await asyncio.sleep(chance.random() * 0.01)
    for timer in chance.sample(made, 8):
        timer.cancel()


async def failing_callbacks(stage: Stage, chance: random.Random) -> None:
    def fail() -> None:
        raise stage.ledger.provoke("call_soon")

    for _ in range(chance.randrange(5)):
        stage.loop.call_soon(fail)
        stage.loop.call_soon_threadsafe(fail)
    await asyncio.sleep(0)


async def nested(stage: Stage, chance: random.Random) -> None:
    stage.nest_briefly()
    await asyncio.sleep(chance.random() * 0.02)


ACTORS: list[Actor] = [
    tcp,
    tcp,
    tcp,
    unix,
    unix,
    socket_pair,
    streams,
    bare_sockets,
    datagrams,
    datagrams_to_nobody,
    pipes,
    threads,
    timers,
    failing_callbacks,
    nested,
    tls.peers,
    tls.peers,
    tls.peers,
]

"""Pipe transports, call by call."""

import asyncio
import gc
import os
import socket
import warnings
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from ..support.loops import LoopFactory, failure
from ..support.recording import BIG, Log, Recording, compare, rounds
from ..support.stock import needs_reading_state


class Pipe:
    """A bare end, in non-blocking mode, and the other end for a transport."""

    def __init__(self, direction: str) -> None:
        reader, writer = os.pipe()
        ours, self.bare = (reader, writer) if direction == "read" else (writer, reader)
        os.set_blocking(self.bare, False)
        self.file = os.fdopen(ours, "rb" if direction == "read" else "wb", 0)

    def close(self) -> None:
        """Closes the bare end."""
        os.close(self.bare)


async def reading(loop: AbstractEventLoop, protocol: Any) -> Pipe:
    pipe = Pipe("read")
    await loop.connect_read_pipe(lambda: protocol, pipe.file)
    return pipe


async def writing(loop: AbstractEventLoop, protocol: Any) -> Pipe:
    pipe = Pipe("write")
    await loop.connect_write_pipe(lambda: protocol, pipe.file)
    return pipe


async def take(loop: AbstractEventLoop, fd: int, size: int = 1 << 40) -> bytes:
    """So much from the bare end, or all there is up to the end."""
    received = bytearray()
    while len(received) < size:
        try:
            data = os.read(fd, 1 << 18)
        except BlockingIOError:
            readable = asyncio.Event()
            loop.add_reader(fd, readable.set)
            await readable.wait()
            loop.remove_reader(fd)
        else:
            if not data:
                break
            received += data
    return bytes(received)


def fill(transport: Any) -> int:
    written = 0
    while not transport.get_write_buffer_size():
        transport.write(BIG)
        written += len(BIG)
    return written


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*args: Any) -> None:
        raise error

    return fail


# Reading.


def test_a_pipe_is_read_up_to_its_end(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await reading(loop, protocol)
        os.write(pipe.bare, b"one")
        await protocol.until_received(3)
        os.write(pipe.bare, b"two")
        pipe.close()
        await protocol.lost
        log.append((pipe.file.closed, protocol.transport.is_closing()))

    assert compare(loop_factory, script) == [
        ("", "connection_made"),
        ("", "data_received", b"onetwo"),
        ("", "eof_received"),
        ("", "connection_lost", None),
        (True, True),
    ]


def test_an_end_of_file_ends_it_whatever_the_protocol_says(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, eof_received=lambda: True)
        (await reading(loop, protocol)).close()
        await protocol.lost

    assert [entry[1] for entry in compare(loop_factory, script)] == [
        "connection_made",
        "eof_received",
        "connection_lost",
    ]


@needs_reading_state
def test_reading_is_paused_and_resumed(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await reading(loop, protocol)
        transport = protocol.transport
        for call in (
            transport.resume_reading,
            transport.pause_reading,
            transport.pause_reading,
            lambda: os.write(pipe.bare, b"later"),
        ):
            call()
            await rounds(loop)
            log.append((transport.is_reading(),))
        transport.resume_reading()
        transport.resume_reading()
        await protocol.until_received(5)
        transport.pause_reading()
        transport.close()
        transport.resume_reading()
        transport.pause_reading()
        log.append((transport.is_reading(), transport.is_closing()))
        await protocol.lost
        pipe.close()

    compare(loop_factory, script)


def test_closing_reads_no_more(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await reading(loop, protocol)
        os.write(pipe.bare, b"unheard")
        protocol.transport.close()
        protocol.transport.close()
        await protocol.lost
        await rounds(loop)
        log.append((failure(lambda: os.write(pipe.bare, b"x")),))
        pipe.close()

    log = compare(loop_factory, script)
    assert log[1:] == [
        ("", "connection_lost", None),
        ((BrokenPipeError, "[Errno 32] Broken pipe"),),
    ]


@pytest.mark.parametrize(
    "callback", ["connection_made", "data_received", "eof_received", "connection_lost"]
)
def test_an_exception_while_reading_is_reported(loop_factory: LoopFactory, callback: str) -> None:
    """And ends nothing, unlike with a socket."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, **{callback: raising(LookupError("out of a callback"))})
        pipe = await reading(loop, protocol)
        for n in (1, 2):
            os.write(pipe.bare, b"x")
            await protocol.until_received(n)
            await rounds(loop)
        log.append(("closing", protocol.transport.is_closing()))
        pipe.close()
        await protocol.lost
        await rounds(loop)

    log = compare(loop_factory, script)
    assert ("closing", False) in log
    assert any(entry[0] == "loop" for entry in log)


# Writing.


BAD_CALLS: dict[str, Callable[[Any], Any]] = {
    "write a str": lambda transport: transport.write("text"),
    "write None": lambda transport: transport.write(None),
    "write a list": lambda transport: transport.write([b"x"]),
    "limits upside down": lambda transport: transport.set_write_buffer_limits(1, 2),
    "writelines of str": lambda transport: transport.writelines(["x"]),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_argument_is_refused(loop_factory: LoopFactory, call: Callable[[Any], Any]) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        log.append((failure(lambda: call(protocol.transport)),))
        protocol.transport.write(b"still there")
        log.append((await take(loop, pipe.bare, 11),))
        protocol.transport.close()
        await protocol.lost
        pipe.close()

    log = compare(loop_factory, script)
    assert log[1] != (None,)
    assert (b"still there",) in log


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_what_is_left_is_written_before_the_end(loop_factory: LoopFactory, end: str) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        transport = protocol.transport
        transport.writelines([b"some", bytearray(b" "), memoryview(b"lines")])
        size = fill(transport) + 10
        getattr(transport, end)()
        getattr(transport, end)()
        transport.write(b"ignored")
        log.append((transport.is_closing(), transport.can_write_eof(), protocol.lost.done()))
        received = await take(loop, pipe.bare)
        log.append(
            (len(received) == size, received[:10], received[10:] == BIG * (size // len(BIG)))
        )
        await protocol.lost
        transport.close()
        transport.write_eof()
        await rounds(loop)
        pipe.close()

    log = compare(loop_factory, script)
    assert (True, b"some lines", True) in log
    assert [entry[1] for entry in log if entry[0] == ""] == [
        "connection_made",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ]


def test_a_buffer_may_be_changed_after_writing(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        size = fill(protocol.transport)
        data = bytearray(b"as it was")
        protocol.transport.write(data)
        data[:] = b"something longer"
        protocol.transport.close()
        log.append(((await take(loop, pipe.bare))[size:],))
        await protocol.lost
        pipe.close()

    assert (b"as it was",) in compare(loop_factory, script)


def test_aborting_drops_what_is_left(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        size = fill(protocol.transport)
        protocol.transport.abort()
        log.append((protocol.transport.get_write_buffer_size(), protocol.lost.done()))
        await protocol.lost
        log.append((len(await take(loop, pipe.bare)) < size,))
        pipe.close()

    log = compare(loop_factory, script)
    assert log[-1] == (True,)


@pytest.mark.parametrize("has_more", [False, True])
def test_a_reader_that_goes_away(
    loop_factory: LoopFactory, has_more: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The protocol hears of it though nothing is written; an error it is only if something was
    left."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        if has_more:
            fill(protocol.transport)
        pipe.close()
        lost = await protocol.lost
        log.append((type(lost), protocol.transport.is_closing()))
        with caplog.at_level("WARNING", "asyncio"):
            for _ in range(8):
                caplog.clear()
                protocol.transport.write(b"x")
                log.append(tuple(caplog.messages))
            caplog.clear()

    log = compare(loop_factory, script)
    assert log[-1] == ("pipe closed by peer or os.write(pipe, data) raised exception.",)


async def test_writing_to_nobody_is_no_exception_of_the_writers(loop: AbstractEventLoop) -> None:
    """Before the loop has looked."""
    protocol = Recording([])
    pipe = await writing(loop, protocol)
    pipe.close()
    protocol.transport.write(b"x")
    assert protocol.transport.is_closing()
    assert isinstance(await protocol.lost, BrokenPipeError)


@pytest.mark.parametrize(
    "callback", ["connection_made", "pause_writing", "resume_writing", "connection_lost"]
)
def test_an_exception_while_writing_is_reported(loop_factory: LoopFactory, callback: str) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, **{callback: raising(LookupError("out of a callback"))})
        pipe = await writing(loop, protocol)
        size = fill(protocol.transport)
        log.append((len(await take(loop, pipe.bare, size)) == size,))
        await protocol.until_called("resume_writing")
        log.append(("closing", protocol.transport.is_closing()))
        protocol.transport.close()
        await protocol.lost
        await rounds(loop)
        pipe.close()

    log = compare(loop_factory, script)
    assert ("closing", False) in log
    assert any(entry[0] == "loop" for entry in log)


# Both.


@pytest.mark.parametrize("make", [reading, writing])
def test_what_a_pipe_tells_of_itself(loop_factory: LoopFactory, make: Any) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await make(loop, protocol)
        transport = protocol.transport
        kinds = (asyncio.ReadTransport, asyncio.WriteTransport, asyncio.Transport)
        log.append(tuple(isinstance(transport, kind) for kind in kinds))

        def tell() -> None:
            log.append(
                (
                    transport.get_extra_info("pipe") is pipe.file,
                    transport.get_extra_info("peername"),
                )
            )
            log.append(
                (transport.get_extra_info("no such thing", 7), transport.get_protocol() is protocol)
            )
            words = repr(transport)[1:-1].split(" ")[1:]
            log.append(tuple("fd" if word.startswith("fd=") else word for word in words))

        tell()
        transport.close()
        tell()
        await protocol.lost
        tell()
        pipe.close()

    compare(loop_factory, script)


@pytest.mark.parametrize("make", [reading, writing])
async def test_a_closed_pipe_is_freed(loop: AbstractEventLoop, make: Any) -> None:
    protocol = Recording([])
    pipe = await make(loop, protocol)
    reference = weakref.ref(protocol.transport)
    protocol.transport.close()
    await protocol.lost
    await rounds(loop)
    protocol.transport = None
    gc.collect()
    assert reference() is None
    assert pipe.file.closed
    pipe.close()


async def test_a_pipe_that_nobody_has_or_watches_is_warned_of(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    pipe = await reading(loop, protocol)
    protocol.transport.pause_reading()
    expected = f"unclosed transport {protocol.transport!r}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del protocol
        gc.collect()
    assert (ResourceWarning, expected) in [(each.category, str(each.message)) for each in caught]
    assert pipe.file.closed
    pipe.close()


def test_what_is_no_pipe_is_refused(loop_factory: LoopFactory, tmp_path: Any) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x")
        for connect in (loop.connect_read_pipe, loop.connect_write_pipe):
            with path.open("r+b", 0) as file:
                try:
                    await connect(lambda: Recording(log), file)
                except ValueError as error:
                    log.append((error, file.closed))

    log = compare(loop_factory, script)
    assert log[0] == ("ValueError(Pipe transport is for pipes/sockets only.)", False)


async def test_a_socket_will_do_for_a_pipe(loop: AbstractEventLoop) -> None:
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    with peer:
        protocol = Recording([])
        await loop.connect_write_pipe(lambda: protocol, ours)
        protocol.transport.write(b"hello")
        assert peer.recv(10) == b"hello"
    assert await protocol.lost is None


async def test_a_terminal_is_read(loop: AbstractEventLoop) -> None:
    """When its other side is closed reading fails with EIO, which is the end and nobody's error."""
    master, slave = os.openpty()
    protocol = Recording([])
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(master, "rb", 0))
    os.write(slave, b"typed")
    await protocol.until_received(5)
    os.close(slave)
    lost = await protocol.lost
    assert isinstance(lost, OSError)
    assert protocol.calls() == ["connection_made", "data_received", "connection_lost"]

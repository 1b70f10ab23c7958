"""Pipe transports at the edges: what ends them twice or too early, what a program sees of their
inside."""

import asyncio
import contextvars
import gc
import logging
import os
import socket
import warnings
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

import qtloop
from qtloop import _core

from ..support import child
from ..support.loops import LoopFactory, failure, nothing
from ..support.nested_loop import Nested
from ..support.recording import BIG, Log, Recording, compare, rounds
from ..support.stock import needs_reading_state
from .test_pipe_calls import Pipe, fill, raising, reading, take, writing

MAKERS = pytest.mark.parametrize("make", [reading, writing])


# The classes.


async def test_the_transports_are_rusts(qt_loop: qtloop.EventLoop) -> None:
    for make, name, base in (
        (reading, "ReadPipeTransport", asyncio.ReadTransport),
        (writing, "WritePipeTransport", asyncio.WriteTransport),
    ):
        protocol = Recording([])
        pipe = await make(qt_loop, protocol)
        transport = protocol.transport
        assert type(transport) is getattr(_core, name)
        assert isinstance(transport, base)
        assert repr(transport).startswith(f"<{name} fd={pipe.file.fileno()} ")
        transport.note = "programs may set attributes"
        assert transport.note
        transport.close()
        await protocol.lost
        pipe.close()


async def test_a_childs_pipes_are_rusts(qt_loop: qtloop.EventLoop) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe, stderr=pipe)
    kinds = [type(child._transport.get_pipe_transport(fd)) for fd in (0, 1, 2)]
    assert kinds == [_core.WritePipeTransport, _core.ReadPipeTransport, _core.ReadPipeTransport]
    assert await child.communicate(BIG) == (BIG, b"")


@MAKERS
def test_the_private_side_has_asyncios_names(loop_factory: LoopFactory, make: Any) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await make(loop, protocol)
        transport = protocol.transport
        fd = pipe.file.fileno()

        def tell() -> None:
            paused = "_paused" if make is reading else "_protocol_paused"
            log.append((transport._pipe is pipe.file, transport._fileno == fd, transport._closing))
            log.append(
                (
                    transport._protocol is protocol,
                    transport._loop is loop,
                    getattr(transport, paused),
                )
            )
            log.append((sorted(transport._extra), transport.get_protocol() is protocol))

        tell()
        transport.close()
        tell()
        await protocol.lost
        await rounds(loop)
        tell()
        log.append((transport._pipe, transport._loop, transport._protocol))
        pipe.close()

    compare(loop_factory, script)


@MAKERS
def test_what_the_caller_knows_is_extra_info(loop_factory: LoopFactory, make: Any) -> None:
    async def script(loop: Any, log: Log) -> None:
        protocol = Recording(log)
        pipe = Pipe("read" if make is reading else "write")
        construct = (
            loop._make_read_pipe_transport if make is reading else loop._make_write_pipe_transport
        )
        extra = {"colour": "blue"}
        transport = construct(pipe.file, protocol, None, extra)
        log.append(
            (transport.get_extra_info("colour"), transport.get_extra_info(name="x", default=1))
        )
        log.append((extra["pipe"] is pipe.file, protocol.transport))
        await rounds(loop)
        transport.close()
        await protocol.lost
        pipe.close()

    compare(loop_factory, script)


@MAKERS
def test_another_protocol_takes_over(loop_factory: LoopFactory, make: Any) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        first, second = Recording(log, "first"), Recording(log, "second")
        pipe = await make(loop, first)
        transport = first.transport
        transport.set_protocol(second)
        log.append((transport.get_protocol() is second,))
        if make is reading:
            os.write(pipe.bare, b"for the second")
            await second.until_called("data_received")
        else:
            fill(transport)
        transport.abort() if make is writing else transport.close()
        await second.lost
        pipe.close()

    log = compare(loop_factory, script)
    assert [entry for entry in log if entry[0] == "first"] == [("first", "connection_made")]


# Too early, twice, too late.


@needs_reading_state
def test_a_reader_that_closes_as_it_begins(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, connection_made=lambda transport: transport.close())
        pipe = await reading(loop, protocol)
        await protocol.lost
        await rounds(loop)
        pipe.close()

    compare(loop_factory, script)


@pytest.mark.parametrize("end", ["close", "abort", "write_eof"])
async def test_a_writer_that_closes_as_it_begins(qt_loop: qtloop.EventLoop, end: str) -> None:
    """asyncio goes on watching the fd's number, so that the next file that has it is not
    watched."""
    before = set(qt_loop._watched())
    protocol = Recording([], connection_made=lambda transport: getattr(transport, end)())
    pipe = await writing(qt_loop, protocol)
    assert await protocol.lost is None
    await rounds(qt_loop)
    assert set(qt_loop._watched()) == before
    assert protocol.calls() == ["connection_made", "connection_lost"]
    pipe.close()


async def test_what_connection_made_writes_is_written_though_it_closes_too(
    loop: AbstractEventLoop,
) -> None:
    def hurry(transport: Any) -> None:
        transport.write(BIG)
        transport.close()

    protocol = Recording([], connection_made=hurry)
    pipe = await writing(loop, protocol)
    assert await take(loop, pipe.bare) == BIG
    assert await protocol.lost is None
    pipe.close()


@pytest.mark.parametrize("first", ["close", "write_eof", "abort"])
@pytest.mark.parametrize("second", ["close", "write_eof", "abort"])
async def test_a_pipe_that_is_closed_twice_ends_once(
    qt_loop: qtloop.EventLoop, first: str, second: str
) -> None:
    """With asyncio, `abort` after the end fails, or lets the end fail."""
    protocol = Recording([])
    pipe = await writing(qt_loop, protocol)
    getattr(protocol.transport, first)()
    getattr(protocol.transport, second)()
    assert await protocol.lost is None
    getattr(protocol.transport, second)()
    await rounds(qt_loop)
    assert protocol.calls() == ["connection_made", "connection_lost"]
    pipe.close()


async def test_closing_too_late_to_be_heard(loop: AbstractEventLoop) -> None:
    """The other side's end has come first."""
    protocol = Recording([])
    pipe = await reading(loop, protocol)
    pipe.close()
    await protocol.until_called("eof_received")
    protocol.transport.close()
    protocol.transport.pause_reading()
    protocol.transport.resume_reading()
    assert await protocol.lost is None
    await rounds(loop)
    assert protocol.calls() == ["connection_made", "eof_received", "connection_lost"]


async def test_a_protocol_that_is_resumed_writes_and_closes(qt_loop: qtloop.EventLoop) -> None:
    """And what it writes is not lost, as it is with asyncio."""

    def finish() -> None:
        protocol.transport.write(BIG)
        protocol.transport.close()

    protocol = Recording([], resume_writing=finish)
    pipe = await writing(qt_loop, protocol)
    size = fill(protocol.transport)
    assert len(await take(qt_loop, pipe.bare)) == size + len(BIG)
    assert await protocol.lost is None
    pipe.close()


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_protocol_that_is_resumed_ends_it(qt_loop: qtloop.EventLoop, end: str) -> None:
    protocol = Recording([], resume_writing=lambda: getattr(protocol.transport, end)())
    pipe = await writing(qt_loop, protocol)
    size = fill(protocol.transport)
    assert len(await take(qt_loop, pipe.bare)) == size
    assert await protocol.lost is None
    await rounds(qt_loop)
    assert protocol.calls() == [
        "connection_made",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ]
    pipe.close()


def test_a_reader_that_goes_away_while_closing(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        fill(protocol.transport)
        protocol.transport.close()
        await rounds(loop)
        pipe.close()
        await protocol.lost
        await rounds(loop)

    assert compare(loop_factory, script)[-1] == ("", "connection_lost", "BrokenPipeError()")


def test_a_socket_that_answers_is_closed(loop_factory: LoopFactory) -> None:
    """As with asyncio: whatever can be read from a writing end is taken for its end."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        ours, peer = socket.socketpair()
        with peer:
            protocol = Recording(log)
            await loop.connect_write_pipe(lambda: protocol, ours)
            peer.send(b"answer")
            log.append((await protocol.lost, ours.fileno()))

    assert compare(loop_factory, script)[-1] == (None, -1)


def test_a_terminal_is_written_to(loop_factory: LoopFactory) -> None:
    """It may be readable, which says nothing of its end."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        master, slave = os.openpty()
        protocol = Recording(log)
        os.write(slave, b"readable")
        await loop.connect_write_pipe(lambda: protocol, os.fdopen(master, "wb", 0))
        await rounds(loop)
        log.append((protocol.transport.is_closing(),))
        protocol.transport.write(b"line\n")
        log.append((os.read(slave, 100),))
        protocol.transport.close()
        await protocol.lost
        os.close(slave)

    compare(loop_factory, script)


# Errors.


def test_an_error_of_reading_is_reported(loop_factory: LoopFactory) -> None:
    """Unless it is EIO."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await reading(loop, protocol)
        protocol.transport.pause_reading()
        await rounds(loop)
        # A writing end in its place, which the hang-up of its reader makes ready, and which cannot
        # be read.
        reader, writer = os.pipe()
        os.dup2(writer, pipe.file.fileno())
        for fd in (reader, writer):
            os.close(fd)
        protocol.transport.resume_reading()
        lost = await protocol.lost
        log.append((lost, protocol.transport.is_closing()))
        pipe.close()

    log = compare(loop_factory, script)
    assert log[1][:2] == ("loop", "Fatal read error on pipe transport")
    assert log[-1][1]


@pytest.mark.parametrize("has_more", [False, True])
def test_memory_in_several_pieces(loop_factory: LoopFactory, has_more: bool) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        if has_more:
            fill(protocol.transport)
        failed = failure(lambda: protocol.transport.write(memoryview(b"every second one")[::2]))
        log.append((failed is not None, protocol.transport.is_closing()))
        protocol.transport.abort() if has_more else None
        await protocol.lost
        pipe.close()

    compare(loop_factory, script)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize(
    "callback", ["data_received", "pause_writing", "resume_writing", "connection_lost"]
)
def test_what_leaves_the_loop(
    qt_loop_factory: LoopFactory, callback: str, error: type[BaseException]
) -> None:
    loop = qt_loop_factory()

    async def prepare() -> tuple[Recording, Recording, Pipe, Pipe]:
        protocols = [Recording([], **{callback: raising(error("out"))}) for _ in range(2)]
        return (*protocols, await reading(loop, protocols[0]), await writing(loop, protocols[1]))  # type: ignore[return-value]

    reader, writer, from_bare, to_bare = loop.run_until_complete(prepare())

    async def provoke() -> None:
        if callback == "data_received":
            os.write(from_bare.bare, b"x")
        elif callback == "connection_lost":
            reader.transport.close()
        else:
            size = fill(writer.transport)
            await take(loop, to_bare.bare, size)
        await asyncio.Event().wait()

    with pytest.raises(error, match="out"):
        loop.run_until_complete(provoke())
    for protocol in (reader, writer):
        protocol.on.clear()
        if not protocol.lost.done():
            protocol.transport.close() if protocol is reader else protocol.transport.abort()
            loop.run_until_complete(protocol.lost)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    from_bare.close()
    to_bare.close()
    loop.close()


class Stubborn:
    """A file that fails to close, but does."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def fileno(self) -> int:
        return int(self.file.fileno())

    def close(self) -> None:
        self.file.close()
        raise LookupError("out of close")


@MAKERS
async def test_a_file_that_fails_to_close(
    qt_loop: qtloop.EventLoop, make: Any, errors: Any
) -> None:
    pipe = Pipe("read" if make is reading else "write")
    protocol = Recording([])
    connect: Any = qt_loop.connect_read_pipe if make is reading else qt_loop.connect_write_pipe
    await connect(lambda: protocol, Stubborn(pipe.file))
    protocol.transport.close()
    await protocol.lost
    await rounds(qt_loop)
    assert [str(context["exception"]) for context in errors] == ["out of close"]
    errors.clear()
    pipe.close()


def test_both_exceptions_are_reported(loop_factory: LoopFactory) -> None:
    """The protocol's as the context of the file's."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        pipe = Pipe("read")
        protocol = Recording(log, connection_lost=raising(ValueError("out of connection_lost")))
        seen: list[Any] = []
        loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
        await loop.connect_read_pipe(lambda: protocol, Stubborn(pipe.file))
        protocol.transport.close()
        await protocol.lost
        await rounds(loop)
        log.extend((error, error.__context__) for error in seen)
        protocol.transport._pipe = None  # asyncio's would be closed once more.
        pipe.close()

    log = compare(loop_factory, script)
    assert log[-1] == ("LookupError(out of close)", "ValueError(out of connection_lost)")


# Nested loops.


class Nesting(asyncio.Protocol):
    """Runs a nested loop in its first `data_received`, up to the end of the pipe."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.is_over = asyncio.Event()
        self.on_first: Callable[[], object] = nothing
        self._nested = Nested()

    def data_received(self, data: bytes) -> None:
        self.steps.append(data)
        if len(self.steps) == 1:
            self.on_first()
            self._nested.exec()
            self.steps.append("nested loop ended")
            self.is_over.set()

    def eof_received(self) -> None:
        self.steps.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.steps.append(exc)
        self._nested.quit()


async def test_a_nested_loop_in_data_received(qt_loop: qtloop.EventLoop) -> None:
    """The pipe goes on in it, up to its end."""
    protocol = Nesting()
    pipe = await reading(qt_loop, protocol)

    def go_on() -> None:
        os.write(pipe.bare, b"two")
        pipe.close()

    protocol.on_first = go_on
    os.write(pipe.bare, b"one")
    await protocol.is_over.wait()
    assert protocol.steps == [b"one", b"two", "eof", None, "nested loop ended"]


async def test_a_nested_loop_in_resume_writing(qt_loop: qtloop.EventLoop) -> None:
    """What it writes is written, and the pipe ends, before the outer callback goes on."""
    nested = Nested()

    def nest() -> None:
        if protocol.calls().count("resume_writing") == 1:
            protocol.transport.write(BIG)
            protocol.transport.close()
            nested.exec()

    protocol = Recording([], resume_writing=nest)
    protocol.on["connection_lost"] = lambda exc: nested.quit()
    pipe = await writing(qt_loop, protocol)
    size = fill(protocol.transport)
    assert len(await take(qt_loop, pipe.bare)) == size + len(BIG)
    assert await protocol.lost is None
    await rounds(qt_loop)
    assert protocol.calls().count("connection_lost") == 1
    pipe.close()


# Flow control.


def test_limits(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        transport = protocol.transport
        log.append(transport.get_write_buffer_limits())
        for arguments in ({"high": 100}, {"low": 10}, {"high": 0}, {"high": 7, "low": 7}, {}):
            transport.set_write_buffer_limits(**arguments)
            log.append(transport.get_write_buffer_limits())
        size = fill(transport)
        transport.set_write_buffer_limits(high=0)
        log.append(("paused", transport._protocol_paused))
        log.append((len(await take(loop, pipe.bare, size)) == size,))
        await protocol.until_called("resume_writing")
        log.append((transport.get_write_buffer_size(), transport._protocol_paused))
        transport.close()
        await protocol.lost
        pipe.close()

    compare(loop_factory, script)


def test_the_protocol_goes_on_when_all_is_written(loop_factory: LoopFactory) -> None:
    """Not at the low water mark: so it is with asyncio's pipes."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        pipe = await writing(loop, protocol)
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1 << 40, low=1 << 39)
        size = fill(transport)
        transport.set_write_buffer_limits(high=10, low=10)
        transport.set_write_buffer_limits(high=1 << 40, low=1 << 39)
        os.read(pipe.bare, 1 << 16)
        await rounds(loop)
        log.append((tuple(protocol.calls()),))
        await take(loop, pipe.bare, size - (1 << 16))
        await protocol.until_called("resume_writing")
        transport.close()
        await protocol.lost
        pipe.close()

    compare(loop_factory, script)


async def test_many_pieces_come_in_order(loop: AbstractEventLoop) -> None:
    """More than one system call takes."""
    protocol = Recording([])
    pipe = await writing(loop, protocol)
    size = fill(protocol.transport)
    pieces = [bytes([n % 251]) * (n % 7) for n in range(5_000)]
    for piece in pieces:
        protocol.transport.write(bytearray(piece) if len(piece) == 3 else piece)
    protocol.transport.close()
    assert (await take(loop, pipe.bare))[size:] == b"".join(pieces)
    pipe.close()


# What is around a callback.

_where: contextvars.ContextVar[str] = contextvars.ContextVar("_where", default="nowhere")


def test_callbacks_run_in_the_contexts_of_asyncios(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def note(callback: str) -> Any:
            return lambda *_: log.append((callback, _where.get()))

        names = (
            "connection_made",
            "data_received",
            "eof_received",
            "connection_lost",
            "resume_writing",
        )
        callbacks = {name: note(name) for name in names}
        reader, writer = Recording(log, "r", **callbacks), Recording(log, "w", **callbacks)
        _where.set("connecting")
        read_pipe, write_pipe = await reading(loop, reader), await writing(loop, writer)
        _where.set("pausing")
        reader.transport.pause_reading()
        os.write(read_pipe.bare, b"x")
        _where.set("resuming")
        reader.transport.resume_reading()
        _where.set("writing")
        size = fill(writer.transport)
        _where.set("writing more")
        writer.transport.write(b"x")
        await reader.until_called("data_received")
        await take(loop, write_pipe.bare, size + 1)
        await writer.until_called("resume_writing")
        _where.set("closing")
        read_pipe.close()
        await reader.lost
        writer.transport.close()
        await writer.lost
        write_pipe.close()

    compare(loop_factory, script)


def test_debug_mode_logs_the_steps(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(True)
        loop.slow_callback_duration = 60
        protocol = Recording(log)
        pipe = await reading(loop, protocol)
        writer = Recording(log, "writer")
        other = await writing(loop, writer)
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "asyncio"):
            protocol.transport.pause_reading()
            protocol.transport.resume_reading()
            pipe.close()
            await protocol.lost
            other.close()
            await writer.lost
            levels = [(record.levelno, record.getMessage()) for record in caplog.records]
        names = {
            type(protocol.transport).__name__: "Read",
            type(writer.transport).__name__: "Write",
        }
        for level, message in sorted(levels):
            words = message.lstrip("<").split(" ")
            if words[0] in names:
                log.append((level, names[words[0]], message.partition("> ")[2]))

    log = compare(loop_factory, script)
    assert (logging.INFO, "Write", "was closed by peer") in log


# What is left behind.


@MAKERS
async def test_a_pipe_in_a_cycle_is_freed(loop: AbstractEventLoop, make: Any) -> None:
    protocol = Recording([])
    pipe = await make(loop, protocol)
    transport = protocol.transport
    if make is reading:
        transport.pause_reading()
    else:
        loop._remove_reader(pipe.file.fileno())  # type: ignore[attr-defined]
    transport.itself = transport if type(transport).__module__ == "qtloop._core" else None
    reference = weakref.ref(protocol)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del protocol, transport
        gc.collect()
    said = [each.category for each in caught if "unclosed transport" in str(each.message)]
    assert said == [ResourceWarning]
    assert pipe.file.closed
    # A warning holds its source. From Python 3.15 on weak references outlive finalizers.
    caught.clear()
    gc.collect()
    assert reference() is None
    pipe.close()


def test_pipes_of_a_loop_that_is_closed(qt_loop_factory: LoopFactory) -> None:
    loop = qt_loop_factory()
    protocols: list[Recording] = []
    pipes: list[Pipe] = []

    async def connect() -> None:
        for make in (reading, writing):
            protocols.append(Recording([]))
            pipes.append(await make(loop, protocols[-1]))

    loop.run_until_complete(connect())
    loop.close()
    for protocol in protocols:
        assert repr(protocol.transport).endswith(" open>")
        assert failure(protocol.transport.close) == (RuntimeError, "Event loop is closed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        protocols.clear()
        del protocol
        gc.collect()
    assert sum("unclosed transport" in str(each.message) for each in caught) == 2
    for pipe in pipes:
        assert pipe.file.closed
        pipe.close()


@pytest.mark.parametrize("closes", [False, True], ids=["open", "closed"])
def test_transports_that_outlive_the_program(name: str, closes: bool) -> None:
    """The interpreter frees them when it is half gone itself."""
    outcome = child.run(
        f"""
        import socket

        class Keeping(asyncio.Protocol):
            def connection_made(self, transport):
                transport.protocol = self
                self.transport = transport

        async def main():
            (reader, _), (_, writer), (left, right) = os.pipe(), os.pipe(), socket.socketpair()
            left.setblocking(False)
            return [
                await loop.connect_read_pipe(Keeping, os.fdopen(reader, "rb", 0)),
                await loop.connect_write_pipe(Keeping, os.fdopen(writer, "wb", 0)),
                await loop.create_connection(Keeping, sock=left),
                right,
            ]

        loop = qtloop.EventLoop()
        sys.kept = loop.run_until_complete(main())
        sys.kept.append(sys.kept)
        if {closes}:
            loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_what_is_refused_belongs_to_the_caller(loop_factory: LoopFactory, tmp_path: Any) -> None:
    async def script(loop: Any, log: Log) -> None:
        gc.collect()
        with (
            (tmp_path / "file").open("w+b", 0) as file,
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            for construct in (loop._make_read_pipe_transport, loop._make_write_pipe_transport):
                log.append((failure(lambda construct=construct: construct(file, Recording(log))),))  # type: ignore[misc]
            gc.collect()
            log.append((len(caught), file.closed, os.get_blocking(file.fileno())))

    log = compare(loop_factory, script)
    assert log[-1] == (0, False, True)

"""Exceptions out of protocols' callbacks, the contexts they run in, and transports that nobody
closed."""

import asyncio
import contextvars
import gc
import sys
import warnings
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from ..support.loops import Errors, LoopFactory, failure, nothing, opened
from ..support.recording import (
    Log,
    Noting,
    Recording,
    RecordingBuffered,
    compare,
    connected,
    fill,
    receive,
    receive_all,
    rounds,
    sockets,
)

#: Whether the loop calls a protocol in one context, the one that its transport was made in.
ONE_CONTEXT = sys.version_info >= (3, 15)


class Fatal(BaseException):
    """None of those that end a run."""


FAILURES: dict[str, Callable[[], BaseException]] = {
    "exception": lambda: LookupError("out of a callback"),
    "os error": lambda: OSError(5, "out of a callback"),
    "cancelled": lambda: asyncio.CancelledError("out of a callback"),
    "base exception": lambda: Fatal("out of a callback"),
}


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any) -> None:
        raise error

    return fail


async def until_sent(loop: AbstractEventLoop, protocol: Noting, peer: Any) -> None:
    """Makes the protocol pause and, when the peer has taken everything, resume."""
    size = await fill(protocol.transport)
    await receive(loop, peer, size)
    await protocol.until_called("resume_writing")


async def use_up(loop: AbstractEventLoop, protocol: Any, peer: Any) -> None:
    """Everything that makes the transport call the protocol, each by itself."""
    for provoke in (
        lambda: until_sent(loop, protocol, peer),
        lambda: loop.sock_sendall(peer, b"data"),
        lambda: loop.sock_sendall(peer, b"more"),
    ):
        await provoke()
        await rounds(loop)
        if protocol.transport.is_closing():
            break
    peer.close()
    await rounds(loop)
    protocol.transport.close()
    await protocol.lost
    await rounds(loop)


CALLBACKS = {
    "connection_made": Recording,
    "pause_writing": Recording,
    "resume_writing": Recording,
    "data_received": Recording,
    "eof_received": Recording,
    "connection_lost": Recording,
    "get_buffer": RecordingBuffered,
    "buffer_updated": RecordingBuffered,
}


@pytest.mark.parametrize("make_error", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_an_exception_out_of_a_callback(
    loop_factory: LoopFactory, callback: str, make_error: Callable[[], BaseException]
) -> None:
    """Some end the connection, some do not; the loop hears of all but the OSErrors that end one."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol: Any = CALLBACKS[callback](log, **{callback: raising(make_error())})
        await use_up(loop, protocol, await connected(loop, protocol))

    log = compare(loop_factory, script)
    reports = [entry for entry in log if entry[0] == "loop"]
    ends = callback in ("data_received", "eof_received", "get_buffer", "buffer_updated")
    if ends and isinstance(make_error(), OSError):
        assert not reports
    else:
        assert reports
    assert len([entry for entry in log if entry[1] == "connection_lost"]) == 1


@pytest.mark.parametrize(
    "callback", ["data_received", "pause_writing", "resume_writing", "eof_received"]
)
async def test_the_handler_is_told_who_failed(
    loop: AbstractEventLoop, errors: Errors, callback: str
) -> None:
    error = LookupError("out of a callback")
    protocol = Recording([], **{callback: raising(error)})
    peer = await connected(loop, protocol)
    await use_up(loop, protocol, peer)
    assert {tuple(sorted(context)) for context in errors} == {
        ("exception", "message", "protocol", "transport")
    }
    for context in errors:
        assert context["exception"] is error
        assert context["transport"] is protocol.transport
        assert context["protocol"] is protocol
    errors.clear()


def test_debug_mode_reports_no_more_of_os_errors(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It logs them."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        loop.set_debug(True)
        protocol = Recording(log, data_received=raising(OSError(5, "out of a callback")))
        with caplog.at_level("DEBUG", "asyncio"), await connected(loop, protocol) as peer:
            peer.send(b"x")
            await protocol.lost
            transport = repr(protocol.transport).split()[0]
            log.extend(
                (message.split(": ")[1:],)
                for message in caplog.messages
                if message.startswith(transport) and "Fatal" in message
            )
        caplog.clear()

    log = compare(loop_factory, script)
    assert log[-1] == (["Fatal error", "protocol.data_received() call failed."],)


class Odd:
    """No buffer at all."""

    def __len__(self) -> int:
        return 3


BUFFERS: dict[str, Callable[[], Any]] = {
    "empty": bytearray,
    "an empty view": lambda: memoryview(bytearray(5))[2:2],
    "None": lambda: None,
    "an int": lambda: 7,
    "read-only": lambda: b"bytes",
    "a str": lambda: "text",
    "a list": lambda: [1, 2],
    "no buffer": Odd,
}


@pytest.mark.parametrize("make_buffer", BUFFERS.values(), ids=BUFFERS)
async def test_a_useless_buffer_ends_the_connection(
    loop: AbstractEventLoop, errors: Errors, make_buffer: Callable[[], Any]
) -> None:
    protocol = RecordingBuffered([], get_buffer=lambda _: make_buffer())
    with await connected(loop, protocol) as peer:
        peer.send(b"x")
        lost = await protocol.lost
    (context,) = errors
    errors.clear()
    buffer = make_buffer()
    assert context["exception"] is lost
    assert isinstance(
        lost,
        RuntimeError if hasattr(buffer, "__len__") and not len(buffer) else TypeError | BufferError,
    )
    if isinstance(lost, RuntimeError):
        assert str(lost) == "get_buffer() returned an empty buffer"
    has_length = hasattr(buffer, "__len__") and len(buffer) > 0
    assert context["message"] == (
        "Fatal read error on socket transport"
        if has_length
        else "Fatal error: protocol.get_buffer() call failed."
    )
    assert protocol.calls() == ["connection_made", "connection_lost"]


# What ends a run.


EXITS = [
    "connection_made",
    "pause_writing",
    "resume_writing",
    "data_received",
    "eof_received",
    "connection_lost",
]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("callback", EXITS)
def test_what_ends_the_run_leaves_the_transport_usable(
    loop: AbstractEventLoop, errors: Errors, callback: str, error: type[BaseException]
) -> None:
    """It is raised once, by the run; what comes after goes the usual way. An end of file may come
    again.

    Stock asyncio stumbles after `resume_writing`: it finds nothing to write and reports that until
    there is.
    """
    protocol: Any = None

    def leave(*args: Any) -> None:
        del protocol.on[callback]
        raise error(7)

    async def start() -> Any:
        nonlocal protocol
        protocol = Recording([], **{callback: leave})
        return await connected(loop, protocol)

    async def go_on(peer: Any) -> None:
        await until_sent(loop, protocol, peer)
        await loop.sock_sendall(peer, b"data")
        await protocol.until_received(4)
        peer.close()
        await protocol.lost

    async def main() -> None:
        await go_on(await start())

    task = loop.create_task(main())
    task.add_done_callback(lambda _: loop.stop())
    with pytest.raises(error, match="7"):
        loop.run_forever()
    # What was awaited when the run ended goes on, unless the exception went through the task
    # itself.
    loop.run_forever() if not task.done() else None
    task_failed = failure_of(task)
    if isinstance(task_failed, error):
        assert callback == "pause_writing"
        protocol.transport.abort()
        loop.run_until_complete(protocol.lost)
    else:
        assert task_failed is None
        calls = [
            "connection_made",
            "pause_writing",
            "resume_writing",
            "data_received",
            "eof_received",
        ]
        assert list(dict.fromkeys(protocol.calls())) == [*calls, "connection_lost"]
        assert protocol.calls()[-1] == "connection_lost"
    if callback == "resume_writing":
        assert all(isinstance(context["exception"], AssertionError) for context in errors)
        errors.clear()


def failure_of(task: asyncio.Task[Any]) -> BaseException | None:
    return task.exception()


def test_the_run_that_is_left_loses_nothing_else(loop: AbstractEventLoop) -> None:
    """Other connections had data at the same time."""

    async def start() -> tuple[list[Recording], list[Any]]:
        protocols = [Recording([]) for _ in range(5)]
        return protocols, [await connected(loop, protocol) for protocol in protocols]

    protocols, peers = loop.run_until_complete(start())
    for n, protocol in enumerate(protocols):
        protocol.on["data_received"] = raising(SystemExit(n))
    for peer in peers:
        peer.send(b"data")
    left = []
    while len(left) < 5:
        with pytest.raises(SystemExit) as caught:
            loop.run_forever()
        left.append(caught.value.code)
    assert sorted(left) == [0, 1, 2, 3, 4]
    for protocol, peer in zip(protocols, peers, strict=True):
        assert protocol.received == b"data"
        peer.close()
        loop.run_until_complete(protocol.lost)


# Contexts.

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


def set_where(value: str) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(where.set, value)
    return context


def test_callbacks_run_in_the_context_that_asked_for_them(loop_factory: LoopFactory) -> None:
    """Reading: where the transport was made. Resuming: where was written. The end: where was
    closed. From Python 3.15 on all of them where the transport was made."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def tell(callback: str) -> Callable[..., None]:
            return lambda *args: log.append((callback, where.get()))

        names = [
            "connection_made",
            "data_received",
            "pause_writing",
            "resume_writing",
            "connection_lost",
        ]
        protocol = Recording([], eof_received=lambda: tell("eof_received")() or True)
        protocol.on.update({name: tell(name) for name in names})
        ours, peer = sockets()
        with peer:
            await loop.create_task(
                loop.create_connection(lambda: protocol, sock=ours), context=set_where("maker")
            )
            transport = protocol.transport
            peer.send(b"x")
            await protocol.until_received(1)
            size = 0

            async def write() -> None:
                nonlocal size
                size = await fill(transport)

            await loop.create_task(write(), context=set_where("writer"))
            await receive(loop, peer, size)
            await protocol.until_called("resume_writing")
            transport.pause_reading()
            set_where("resumer").run(transport.resume_reading)
            peer.send(b"y")
            await protocol.until_received(2)
            peer.shutdown(1)
            await protocol.until_called("eof_received")
            set_where("closer").run(transport.close)
            await protocol.lost

    def where_asked(name: str) -> str:
        return "maker" if ONE_CONTEXT else name

    assert compare(loop_factory, script) == [
        ("connection_made", "maker"),
        ("data_received", "maker"),
        ("pause_writing", "writer"),
        ("resume_writing", where_asked("writer")),
        ("data_received", where_asked("resumer")),
        ("eof_received", where_asked("resumer")),
        ("connection_lost", where_asked("closer")),
    ]


def test_a_value_set_amid_data_stays_with_that_connection(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def count(name: str) -> Callable[..., None]:
            def set_and_tell(*args: Any) -> None:
                log.append((name, where.get()))
                where.set(f"{where.get()} {name}")

            return set_and_tell

        protocols = [
            Recording([], name, connection_made=count(name), data_received=count(name))
            for name in "ab"
        ]
        peers = [await connected(loop, protocol) for protocol in protocols]
        for size in range(1, 4):
            for protocol, peer in zip(protocols, peers, strict=True):
                peer.send(b"x")
                await protocol.until_received(size)
        log.append(("outside", where.get()))
        for protocol, peer in zip(protocols, peers, strict=True):
            peer.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert log[-1] == ("outside", "nowhere")
    assert log[-2] == ("b", "nowhere b b b" if ONE_CONTEXT else "nowhere b b")


def test_a_server_s_connections_begin_where_it_was_started(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(
            [], connection_made=lambda transport: log.append(("made", where.get()))
        )
        server = await loop.create_task(
            loop.create_server(lambda: protocol, "127.0.0.1", 0), context=set_where("starter")
        )
        client = Recording([])
        await loop.create_connection(lambda: client, *server.sockets[0].getsockname())
        await protocol.until_called("connection_made")
        client.transport.close()
        await protocol.lost
        server.close()
        await server.wait_closed()

    assert compare(loop_factory, script) == [("made", "starter")]


# Nobody's transports.


async def test_a_transport_that_nobody_has_or_watches_is_warned_of(loop: AbstractEventLoop) -> None:
    """And its socket is closed."""
    with await connected(loop, protocol := Recording([])) as peer:
        protocol.transport.pause_reading()
        expected = f"unclosed transport {protocol.transport!r}"
        reference = weakref.ref(protocol.transport)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del protocol
            gc.collect()
        # Its socket may be warned of as well.
        assert (ResourceWarning, expected) in [
            (each.category, str(each.message)) for each in caught
        ]
        # A warning holds its source. From Python 3.15 on weak references outlive finalizers.
        caught.clear()
        gc.collect()
        assert reference() is None
        assert await receive_all(loop, peer) == b""


async def test_a_transport_that_is_read_from_is_kept(loop: AbstractEventLoop) -> None:
    """By the loop: the program needs not hold it."""
    heard = loop.create_future()

    class Hearing(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.set_result(data)

    ours, peer = sockets()
    with peer:
        reference = weakref.ref((await loop.create_connection(Hearing, sock=ours))[0])
        gc.collect()
        peer.send(b"heard")
        assert await heard == b"heard"
        transport = reference()
        assert transport is not None
        transport.close()
        await rounds(loop)


async def test_a_transport_that_has_something_to_send_is_kept(loop: AbstractEventLoop) -> None:
    ours, peer = sockets()
    with peer:
        transport: Any = (await loop.create_connection(asyncio.Protocol, sock=ours))[0]
        transport.pause_reading()
        size = await fill(transport)
        transport.close()
        reference = weakref.ref(transport)
        del transport
        gc.collect()
        assert len(await receive_all(loop, peer)) == size
    await rounds(loop)
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("how", ["close", "abort", "eof", "reset", "error"])
@pytest.mark.parametrize("kind_of_protocol", [Recording, RecordingBuffered])
def test_a_closed_transport_is_freed(
    loop: AbstractEventLoop, errors: Errors, how: str, kind_of_protocol: Any
) -> None:
    """At once, if nobody else has it: it holds neither itself nor its protocol."""

    async def use() -> list[weakref.ref[Any]]:
        on = {"data_received": raising(LookupError()), "buffer_updated": raising(LookupError())}
        protocol = kind_of_protocol([], **(on if how == "error" else {}))
        peer = await connected(loop, protocol)
        await fill(protocol.transport)
        if how in ("close", "abort"):
            getattr(protocol.transport, how)()
        if how in ("error", "eof"):
            peer.send(b"x")
        if how != "reset":
            await receive_until_sent(loop, peer, protocol)
        peer.close()
        await protocol.lost
        await rounds(loop)
        errors.clear()
        transport, protocol.transport = protocol.transport, None
        return [weakref.ref(transport), weakref.ref(protocol)]

    references = loop.run_until_complete(use())
    gc.collect()
    assert [reference() for reference in references] == [None, None]


async def receive_until_sent(loop: AbstractEventLoop, peer: Any, protocol: Any) -> None:
    """Takes what comes until the protocol has sent everything or has been lost."""
    while not protocol.lost.done() and protocol.transport.get_write_buffer_size():
        await loop.sock_recv(peer, 1 << 18)


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_closed_loop_lets_go_of_its_transports(loop_factory: LoopFactory) -> None:
    with opened(loop_factory) as loop:

        async def use() -> tuple[weakref.ref[Any], Any]:
            ours, peer = sockets()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            await fill(transport)
            return weakref.ref(transport), peer

        reference, peer = loop.run_until_complete(use())
        gc.collect()
        assert reference() is not None
    gc.collect()
    assert reference() is None
    peer.close()


def test_a_transport_of_a_closed_loop_can_be_looked_at(loop_factory: LoopFactory) -> None:
    """Closing it then is an error, as on the stock loop, and the socket is closed when it is
    freed."""

    results: dict[str, Any] = {}
    for name, factory in {"stock": asyncio.SelectorEventLoop, "ours": loop_factory}.items():
        with opened(factory) as loop:
            protocol: Any = loop.run_until_complete(make(loop))
        transport = protocol.transport
        results[name] = [
            repr(transport).split()[1].split("=")[0],
            transport.is_closing(),
            failure(transport.get_extra_info("socket").getsockname),
            failure(transport.pause_reading),
            failure(transport.close),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = protocol.peer
            del transport, protocol
            gc.collect()
        assert peer.recv(1) == b""
        peer.close()
    assert results["ours"] == results["stock"]
    assert results["ours"][-1] == (RuntimeError, "Event loop is closed")


async def make(loop: AbstractEventLoop) -> Any:
    protocol: Any = Recording([])
    protocol.peer = await connected(loop, protocol)
    del protocol.lost, protocol._heard
    return protocol


async def test_callbacks_are_looked_up_when_they_are_called(loop: AbstractEventLoop) -> None:
    """So they may be exchanged on the protocol, as tests and debuggers do."""
    protocol: Any = Recording([])
    got: list[bytes] = []
    with await connected(loop, protocol) as peer:
        peer.send(b"x")
        await protocol.until_received(1)
        heard = asyncio.Event()
        protocol.data_received = lambda data: (got.append(data), heard.set())
        peer.send(b"y")
        await heard.wait()
        assert got == [b"y"]
        protocol.transport.close()
        await protocol.lost


async def test_a_protocol_need_not_inherit_anything(loop: AbstractEventLoop) -> None:
    class Bare:
        connection_made = connection_lost = nothing

        def __init__(self) -> None:
            self.received = loop.create_future()
            self.ended = loop.create_future()

        def data_received(self, data: bytes) -> None:
            self.received.set_result(data)

        def eof_received(self) -> None:
            self.ended.set_result(None)

    bare: Any = Bare()
    ours, peer = sockets()
    with peer:
        await loop.create_connection(lambda: bare, sock=ours)
        peer.send(b"x")
        assert await bare.received == b"x"
    await bare.ended
    await rounds(loop)

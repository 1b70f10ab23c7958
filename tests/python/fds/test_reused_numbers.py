"""A number outlives its file and means another: nothing goes to that, comes from it, or ends its
watches."""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import OURS, STOCK, Errors, LoopFactory, nothing, opened, run_for
from ..support.nested_loop import Nested
from ..support.recording import (
    BIG,
    Recording,
    RecordingBuffered,
    RecordingDatagrams,
    fill,
    rounds,
    sockets,
)
from ..support.strangers import Stranger, is_open

#: A number that no other fd of the process has, and that a transport's socket is given.
NUMBER = 950


def at_number(sock: socket.socket, number: int = NUMBER) -> socket.socket:
    """The same socket under the number."""
    os.dup2(sock.fileno(), number, inheritable=False)
    moved = socket.socket(sock.family, sock.type, fileno=number)
    moved.setblocking(False)
    sock.close()
    return moved


async def stream(loop: AbstractEventLoop, protocol: Any) -> socket.socket:
    """A connection under the number. Returns the other end."""
    ours, peer = sockets()
    await loop.create_connection(lambda: protocol, sock=at_number(ours))
    return peer


async def accepted(
    loop: AbstractEventLoop, protocol: Any, tmp_path: Path
) -> tuple[socket.socket, int]:
    """A connection that a server of the loop has accepted. Returns the other end, and the number
    here."""
    server = await loop.create_unix_server(lambda: protocol, str(tmp_path / "socket"))
    peer = socket.socket(socket.AF_UNIX)
    peer.setblocking(False)
    await loop.sock_connect(peer, str(tmp_path / "socket"))
    await protocol.until_called("connection_made")
    server.close()
    return peer, protocol.transport._sock_fd


async def flushed_and_closed(loop: AbstractEventLoop, protocol: Any, peer: socket.socket) -> bytes:
    """Closes the transport when something waits to be written, and reads all that."""
    await fill(protocol.transport)
    protocol.transport.close()
    received = bytearray()
    while data := await loop.sock_recv(peer, 1 << 20):
        received += data
    await protocol.lost
    return bytes(received)


LATE: dict[str, Callable[[Any], Any]] = {
    "write": lambda transport: transport.write(b"late"),
    "writelines": lambda transport: transport.writelines([b"la", b"te"]),
    "a lot": lambda transport: transport.write(BIG),
    "eof": lambda transport: transport.write_eof(),
    "resume": lambda transport: (transport.pause_reading(), transport.resume_reading()),
    "abort": lambda transport: transport.abort(),
    "close": lambda transport: transport.close(),
}


def late(transport: Any) -> None:
    """Everything that a program may do too late. Stock stumbles over what it has let go of."""
    for do in LATE.values():
        with contextlib.suppress(AttributeError, TypeError):
            do(transport)


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_nothing_is_written_after_a_close_that_had_to_flush(
    loop: AbstractEventLoop, is_accepted: bool, tmp_path: Path
) -> None:
    protocol = Recording([])
    if is_accepted:
        peer, number = await accepted(loop, protocol, tmp_path)
    else:
        peer, number = await stream(loop, protocol), NUMBER
    await flushed_and_closed(loop, protocol, peer)
    assert not is_open(number)
    with peer, Stranger(number):
        late(protocol.transport)
        await rounds(loop)
    assert protocol.transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_what_connection_lost_writes_ends_with_the_connection(
    qt_loop: AbstractEventLoop, is_accepted: bool, tmp_path: Path
) -> None:
    """After a close that had to flush, with a peer that does not read: it is queued, and
    dropped."""

    def write_more(_: Any) -> None:
        for _ in range(3):
            protocol.transport.write(BIG)

    protocol = Recording([], connection_lost=write_more)
    if is_accepted:
        peer, number = await accepted(qt_loop, protocol, tmp_path)
    else:
        peer, number = await stream(qt_loop, protocol), NUMBER
    await flushed_and_closed(qt_loop, protocol, peer)
    with peer, Stranger(number):
        assert protocol.transport.get_write_buffer_size() == 0
        assert number not in qt_loop._watched()  # type: ignore[attr-defined]
        await rounds(qt_loop)


async def test_a_buffer_is_not_filled_by_a_successor(qt_loop: AbstractEventLoop) -> None:
    """`get_buffer` runs a nested loop in which the connection ends."""
    nested, buffer = Nested(), bytearray(100)
    stranger: asyncio.Future[Stranger] = qt_loop.create_future()

    def get_buffer(_: int) -> bytearray:
        protocol.transport.abort()
        nested.exec()
        stranger.set_result(Stranger(NUMBER))
        return buffer

    protocol = RecordingBuffered(
        [], get_buffer=get_buffer, connection_lost=lambda _: qt_loop.call_soon(nested.quit)
    )
    with await stream(qt_loop, protocol) as peer:
        peer.send(b"hello")
        await protocol.lost
        # The test goes on in the nested loop, which has yet to end.
        found = await stranger
        await rounds(qt_loop)
    found.leave()
    assert buffer == bytes(100)
    assert "buffer_updated" not in protocol.calls()


def program_closes(transport: Any) -> None:
    """What a program must not do."""
    transport.get_extra_info("socket")._sock.close()


@pytest.mark.parametrize("is_accepted", [True, False])
@pytest.mark.parametrize("do", [LATE["write"], LATE["writelines"], LATE["a lot"]])
async def test_a_socket_closed_behind_its_transport(
    loop: AbstractEventLoop, do: Callable[[Any], Any], is_accepted: bool, tmp_path: Path
) -> None:
    """What is written gets EBADF, which ends the connection."""
    protocol = Recording([])
    if is_accepted:
        peer, number = await accepted(loop, protocol, tmp_path)
    else:
        peer, number = await stream(loop, protocol), NUMBER
    protocol.transport.pause_reading()
    program_closes(protocol.transport)
    with peer, Stranger(number):
        do(protocol.transport)
        error: Any = await protocol.lost
        assert isinstance(error, OSError)
        assert error.errno == errno.EBADF
        await rounds(loop)


async def test_a_datagram_socket_closed_behind_its_transport(loop: AbstractEventLoop) -> None:
    left, peer = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    peer.bind(("127.0.0.1", 0))
    left.connect(peer.getsockname())
    protocol = RecordingDatagrams([])
    await loop.create_datagram_endpoint(lambda: protocol, sock=at_number(left))
    program_closes(protocol.transport)
    with peer, Stranger(NUMBER, socket.SOCK_DGRAM):
        protocol.transport.sendto(b"late")
        await protocol.until_called("error_received")
        protocol.transport.abort()
        assert await protocol.lost is None
    errors = [entry[2] for entry in protocol.log if entry[1] == "error_received"]
    assert {error.errno for error in errors} == {errno.EBADF}


@pytest.mark.parametrize("way", ["write", "read"])
async def test_a_pipe_closed_behind_its_transport(
    qt_loop: AbstractEventLoop, errors: Errors, way: str
) -> None:
    """Stock makes its system calls by the number."""
    ends = [
        os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
    ]
    protocol: Any = Recording([])
    if way == "write":
        await qt_loop.connect_write_pipe(lambda: protocol, ends[1])
    else:
        await qt_loop.connect_read_pipe(lambda: protocol, ends[0])
    ours, other = ends[::-1] if way == "write" else ends
    number = ours.fileno()
    ours.close()
    with other, Stranger(number):
        if way == "write":
            protocol.transport.write(b"late")
        else:
            protocol.transport._read_ready()
        error: Any = await protocol.lost
        assert error.errno == errno.EBADF
        await rounds(qt_loop)
    assert all(context["exception"].errno == errno.EBADF for context in errors)
    errors.clear()


async def heard(loop: AbstractEventLoop, number: int) -> None:
    """Waits until a reader of the number is called."""
    called = asyncio.Event()
    loop.add_reader(number, called.set)
    await called.wait()
    loop.remove_reader(number)


@pytest.mark.parametrize("is_running", [True, False])
async def test_the_watch_of_a_successor_is_its_own(
    qt_loop: AbstractEventLoop, is_running: bool
) -> None:
    """A transport whose socket was closed behind it neither ends nor replaces it. Stock does
    both."""
    protocol = Recording([])
    peer = await stream(qt_loop, protocol)
    if not is_running:
        protocol.transport.pause_reading()
    await fill(protocol.transport)
    program_closes(protocol.transport)
    with peer, Stranger(NUMBER) as stranger:
        called = asyncio.Event()
        qt_loop.add_reader(NUMBER, called.set)
        await called.wait()
        with contextlib.suppress(OSError):
            protocol.transport.resume_reading()
        protocol.transport.abort()
        await protocol.lost
        called.clear()
        await called.wait()
        qt_loop.remove_reader(NUMBER)
        assert stranger.heard() is None


async def test_a_successors_connection_is_not_a_former_transports(
    qt_loop: AbstractEventLoop,
) -> None:
    """The number may be given to another transport, and to sock_recv. Stock says that it is
    used."""
    former, protocol = Recording([]), Recording([])
    with await stream(qt_loop, former):
        program_closes(former.transport)
        with await stream(qt_loop, protocol) as peer:
            former.transport.abort()
            await former.lost
            peer.send(b"hello")
            await protocol.until_received(5)
            protocol.transport.write(b"answer")
            assert await qt_loop.sock_recv(peer, 10) == b"answer"
            program_closes(protocol.transport)
            ours, other = sockets()
            with at_number(ours) as ours, other:
                receiving = asyncio.ensure_future(qt_loop.sock_recv(ours, 10))
                await asyncio.sleep(0)
                protocol.transport.abort()
                await protocol.lost
                other.send(b"hello")
                assert await receiving == b"hello"


async def test_a_former_sock_operation_leaves_a_successors_watch_alone(
    qt_loop: AbstractEventLoop,
) -> None:
    ours, other = sockets()
    former = at_number(ours)
    receiving = asyncio.ensure_future(qt_loop.sock_recv(former, 10))
    await asyncio.sleep(0)
    former.close()
    protocol = Recording([])
    with other, await stream(qt_loop, protocol) as peer:
        receiving.cancel()
        await rounds(qt_loop)
        peer.send(b"hello")
        await protocol.until_received(5)
        protocol.transport.close()
        await protocol.lost


async def test_a_removed_socket_that_is_closed_leaves_a_successors_watch_alone(
    qt_loop: AbstractEventLoop,
) -> None:
    """`remove_reader` finds a closed socket by the number it had, unless that is another's by
    now."""
    ours, other = sockets()
    former = at_number(ours)
    qt_loop.add_reader(former, nothing)
    former.close()
    with other, Stranger(NUMBER):
        called = asyncio.Event()
        qt_loop.add_reader(NUMBER, called.set)
        with pytest.raises(ValueError, match="Invalid file"):
            qt_loop.remove_reader(former)
        await called.wait()
        assert qt_loop.remove_reader(NUMBER)


def test_a_socket_that_was_closed_too_soon_can_be_removed(loop: AbstractEventLoop) -> None:
    ours, other = sockets()
    loop.add_reader(ours, nothing)
    ours.close()
    assert loop.remove_writer(ours) is False
    assert loop.remove_reader(ours) is True
    other.close()


async def test_a_listening_socket_closed_behind_its_server(
    qt_loop: AbstractEventLoop, errors: Errors, tmp_path: Path
) -> None:
    """It accepts nothing of a successor's, and nothing is said again and again."""
    protocols: list[Recording] = []

    def serve() -> Recording:
        protocols.append(Recording([]))
        return protocols[-1]

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "first"))
    server: Any = await qt_loop.create_unix_server(serve, sock=at_number(listener))
    server.sockets[0]._sock.close()
    successor = socket.socket(socket.AF_UNIX)
    successor.bind(str(tmp_path / "second"))
    successor.listen()
    with at_number(successor) as successor, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "second"))
        await rounds(qt_loop, 20)
        connection, _ = successor.accept()
        connection.close()
    assert not protocols
    assert len(errors) <= 1
    errors.clear()


async def writer_waits(loop: Any) -> None:
    while loop._watched().get(NUMBER, (None, None))[1] is None:
        await asyncio.sleep(0)


async def test_sendfile_ends_with_its_transport(qt_loop: AbstractEventLoop, tmp_path: Path) -> None:
    """What waits for room does not write to a successor, nor watch it."""
    (tmp_path / "file").write_bytes(BIG)
    protocol = Recording([])
    with await stream(qt_loop, protocol), (tmp_path / "file").open("rb") as file:
        sending = asyncio.ensure_future(qt_loop.sendfile(protocol.transport, file))
        await writer_waits(qt_loop)
        protocol.transport.abort()
        await protocol.lost
        with Stranger(NUMBER):
            assert NUMBER not in qt_loop._watched()  # type: ignore[attr-defined]
            await rounds(qt_loop)
            sending.cancel()
            await asyncio.wait([sending])
            await rounds(qt_loop)


async def test_sendfile_sends_no_other_file(qt_loop: AbstractEventLoop, tmp_path: Path) -> None:
    """The program closes the file, and its number means another. Stock sends that."""
    (tmp_path / "file").write_bytes(BIG)
    (tmp_path / "other").write_bytes(bytes(len(BIG)))
    protocol = Recording([])
    file = (tmp_path / "file").open("rb")
    number = file.fileno()
    with await stream(qt_loop, protocol) as peer:
        sending = asyncio.ensure_future(qt_loop.sendfile(protocol.transport, file))
        await writer_waits(qt_loop)
        file.close()
        with (tmp_path / "other").open("rb") as other:
            assert other.fileno() == number
            received = bytearray()
            while len(received) < len(BIG):
                received += await qt_loop.sock_recv(peer, 1 << 20)
            await sending
        protocol.transport.close()
        await protocol.lost
    assert received == BIG


class Interrupted(Exception):
    """What a signal handler raises."""


@pytest.mark.parametrize("nth", range(8))
async def test_making_a_socket_is_interrupted(
    qt_loop: AbstractEventLoop, nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails in it, the fd is closed by one of the two, once."""
    protocol = Recording([])
    peer, number = await accepted(qt_loop, protocol, tmp_path)
    steps = 0

    def interrupt(frame: Any, event: str, argument: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == nth:
            raise Interrupted

    sys.setprofile(interrupt)
    try:
        protocol.transport.get_extra_info("socket")
    except Interrupted:
        pass
    finally:
        sys.setprofile(None)
    gc.collect()
    assert is_open(number)
    with peer:
        protocol.transport.write(b"hello")
        assert await qt_loop.sock_recv(peer, 10) == b"hello"
        protocol.transport.close()
        await protocol.lost
        assert not is_open(number)
        with Stranger(number):
            gc.collect()


# Private methods that are handed an object.


def test_no_fd_is_lent_of_what_has_none(qt_loop: Any) -> None:
    class Impostor:
        _sock_fd = NUMBER
        _sock = "not None"

    with pytest.raises(TypeError):
        qt_loop._lend_fd(Impostor(), False)
    gc.collect()
    qt_loop._ensure_fd_no_transport(NUMBER)
    assert qt_loop.remove_reader(NUMBER) is False


async def test_a_transport_of_another_loop_is_not_lent(
    qt_loop: Any, qt_loop_factory: LoopFactory
) -> None:
    protocol = Recording([])
    with await stream(qt_loop, protocol):
        other: Any = qt_loop_factory()
        with pytest.raises(ValueError, match="another loop"):
            other._lend_fd(protocol.transport, False)
        other.close()
        protocol.transport.close()
        await protocol.lost


# Other threads.


def in_thread(function: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def test_a_reader_added_by_another_thread_is_called(loop: AbstractEventLoop) -> None:
    """It is against the rules, and works from the next iteration on."""
    ours, other = sockets()
    calls: list[str] = []
    loop.call_soon(
        in_thread, loop.add_reader, ours, lambda: (calls.append("readable"), loop.stop())
    )
    loop.call_later(0.01, nothing)
    guard = loop.call_later(20, loop.stop)
    other.send(b"x")
    loop.run_forever()
    guard.cancel()
    assert calls == ["readable"]
    assert loop.remove_reader(ours)
    ours.close()
    other.close()


def test_a_reader_removed_by_another_thread_is_gone(
    loop: AbstractEventLoop, capfd: pytest.CaptureFixture[str]
) -> None:
    """Then the fd is closed: Qt has nothing to say about that, or one thing."""
    ours, other = sockets()
    loop.add_reader(ours, nothing)
    run_for(loop)

    def remove() -> None:
        in_thread(loop.remove_reader, ours)
        ours.close()

    loop.call_soon(remove)
    run_for(loop, 0.1)
    other.close()
    output = capfd.readouterr()
    assert (output.out + output.err).count("QSocketNotifier") <= 1


@pytest.mark.parametrize("factory", OURS.values(), ids=OURS)
def test_a_changed_watch_costs_nothing_afterwards(factory: LoopFactory) -> None:
    with opened(factory) as loop:
        assert isinstance(loop, EventLoop)
        ours, other = sockets()
        loop.add_reader(ours, nothing)
        run_for(loop)
        loop.call_soon(lambda: (in_thread(loop.remove_reader, ours), ours.close()))
        run_for(loop, 0.05)
        before = loop.metrics().turns
        run_for(loop, 0.1)
        assert loop.metrics().turns - before < 20
        other.close()


# The wake-up fd that somebody else had set.


@pytest.fixture
def outer_wakeup_fd() -> Iterator[int]:
    ours, other = sockets()
    number = ours.detach()
    before = signal.set_wakeup_fd(number)
    yield number
    signal.set_wakeup_fd(before)
    other.close()


@pytest.mark.parametrize("factory", {**OURS}.values(), ids=OURS)
def test_signals_are_not_told_to_a_successor(factory: LoopFactory, outer_wakeup_fd: int) -> None:
    strangers: list[Stranger] = []

    def close_it() -> None:
        os.close(outer_wakeup_fd)
        strangers.append(Stranger(outer_wakeup_fd))
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, nothing)
    try:
        with opened(factory) as loop:
            loop.call_soon(close_it)
            run_for(loop, 0.05)
            signal.raise_signal(signal.SIGUSR1)
            assert signal.set_wakeup_fd(-1) == -1
            strangers[0].leave()
    finally:
        signal.signal(signal.SIGUSR1, before)


# Fork.


@pytest.mark.parametrize("factory", {**STOCK, **OURS}.values(), ids={**STOCK, **OURS})
def test_a_child_runs_though_a_watched_fd_is_closed(factory: LoopFactory) -> None:
    ours, other = sockets()
    loop = factory()
    loop.add_reader(ours, nothing)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            ours.close()
            loop.call_soon(loop.stop)
            loop.run_forever()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    loop.close()
    ours.close()
    other.close()
    assert os.waitstatus_to_exitcode(status) == 0


# Duplicates.


@pytest.mark.parametrize("factory", OURS.values(), ids=OURS)
def test_a_file_that_has_lost_its_number_is_not_reported_for_ever(factory: LoopFactory) -> None:
    """A socket that has a duplicate is closed behind its transport: no number takes it out of the
    set."""
    with opened(factory) as loop:
        assert isinstance(loop, EventLoop)
        protocol = loop.run_until_complete(recording())
        peer = loop.run_until_complete(stream(loop, protocol))
        duplicate = protocol.transport.get_extra_info("socket").dup()
        program_closes(protocol.transport)
        peer.send(b"never read")
        protocol.transport.abort()
        loop.run_until_complete(protocol.lost)
        run_for(loop)
        before = loop.metrics().turns
        run_for(loop, 0.05)
        assert loop.metrics().turns - before < 20
        peer.close()
        duplicate.close()


async def recording() -> Recording:
    return Recording([])

"""Faults from outside: no fds left, connections reset, peers asleep, children killed, storms of
signals."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import struct
import sys
import threading
from asyncio import AbstractEventLoop, constants
from collections.abc import Iterator
from typing import Any

import pytest

from ..support.loops import Errors, nothing
from ..support.recording import BIG, Recording, connected, fill, receive, rounds, sockets

#: Makes `close` reset a TCP connection.
RESET = struct.pack("ii", 1, 0)


# No fds left.


@contextlib.contextmanager
def no_fds_left() -> Iterator[None]:
    """Whatever would open an fd fails with EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_connections_wait_for_fds(
    loop: AbstractEventLoop, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are accepted when there are some; until then the handler is told, and the rest goes
    on."""
    # At once: stock tries once for each place in the backlog, and a late one finds the server
    # closed.
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0)
    served: list[Recording] = []
    heard = asyncio.Event()

    def serve() -> Recording:
        served.append(Recording([], data_received=lambda _: heard.set()))
        return served[-1]

    other = Recording([])
    peer = await connected(loop, other)
    server: Any = await loop.create_server(serve, "127.0.0.1", 0)
    clients = [tcp_socket() for _ in range(3)]
    with no_fds_left():
        for client in clients:
            await loop.sock_connect(client, server.sockets[0].getsockname())
            client.send(b"hello")
        while not errors:
            await rounds_without_fds(loop, other, peer)
        assert not served
    while sum(bytes(protocol.received) == b"hello" for protocol in served) < 3:
        heard.clear()
        await heard.wait()
    for context in errors:
        assert set(context) == {"message", "exception", "socket"}
        assert context["message"] == "socket.accept() out of system resource"
        assert context["exception"].errno == errno.EMFILE
        assert context["socket"].fileno() == server.sockets[0].fileno()
    errors.clear()
    for sock in (*clients, peer):
        sock.close()
    for protocol in (*served, other):
        await protocol.lost
    server.close()
    await server.wait_closed()


async def rounds_without_fds(
    loop: AbstractEventLoop, protocol: Recording, peer: socket.socket
) -> None:
    """A connection that exists is served all the same."""
    size = len(protocol.received)
    peer.send(b"x")
    await protocol.until_received(size + 1)


async def test_a_server_closed_while_it_waits_for_fds(
    loop: AbstractEventLoop, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry finds it closed. That may be reported, and does no harm."""
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.01)
    server: Any = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    other = Recording([])
    peer = await connected(loop, other)
    with tcp_socket() as client, no_fds_left():
        await loop.sock_connect(client, server.sockets[0].getsockname())
        while not errors:
            await rounds_without_fds(loop, other, peer)
        server.close()
        await server.wait_closed()
    errors.clear()
    await asyncio.sleep(0.02)
    errors.clear()
    other.transport.close()
    await other.lost
    peer.close()


async def test_a_connection_that_gets_no_fd_fails(loop: AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with no_fds_left(), pytest.raises(OSError, match="Too many open files"):
            await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        transport.close()
        await rounds(loop)


def tcp_socket() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


# Connections that break.


async def tcp_pair(loop: AbstractEventLoop, protocol: Any) -> socket.socket:
    """Connects the protocol over TCP. Returns the socket at the other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await loop.create_connection(lambda: protocol, *listener.getsockname())
        peer, _ = listener.accept()
    peer.setblocking(False)
    return peer


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


@pytest.mark.parametrize("is_reading", [True, False])
async def test_a_reset_amid_writing(
    loop: AbstractEventLoop, caplog: pytest.LogCaptureFixture, is_reading: bool
) -> None:
    """The protocol hears of it and nobody else. Later writes are dropped, in the end with a
    warning."""
    protocol = Recording([])
    peer = await tcp_pair(loop, protocol)
    transport = protocol.transport
    if not is_reading:
        transport.pause_reading()
    await fill(transport)
    await receive(loop, peer, 1000)
    reset(peer)
    assert isinstance(await protocol.lost, ConnectionResetError | BrokenPipeError)
    assert protocol.calls() == ["connection_made", "pause_writing", "connection_lost"]
    assert transport.is_closing()
    assert transport.get_write_buffer_size() == 0
    with caplog.at_level(logging.WARNING, "asyncio"):
        for n in range(10):
            transport.write(b"x")
            assert caplog.messages == ["socket.send() raised exception."] * max(0, n - 3)


@pytest.mark.parametrize("write", ["write", "writelines"])
async def test_a_write_to_a_closed_peer(loop: AbstractEventLoop, write: str) -> None:
    """It raises nothing: the connection is lost with the error."""
    protocol = Recording([])
    peer = await connected(loop, protocol)
    protocol.transport.pause_reading()
    peer.close()
    data: Any = b"x" if write == "write" else [b"x", b"y"]
    getattr(protocol.transport, write)(data)
    assert protocol.transport.is_closing()
    assert not protocol.lost.done()
    assert isinstance(await protocol.lost, BrokenPipeError)
    assert protocol.calls() == ["connection_made", "connection_lost"]


async def test_a_closing_connection_that_is_reset(loop: AbstractEventLoop) -> None:
    """With something left to send. It ends once."""
    protocol = Recording([])
    peer = await tcp_pair(loop, protocol)
    await fill(protocol.transport)
    protocol.transport.close()
    assert not protocol.lost.done()
    reset(peer)
    assert isinstance(await protocol.lost, ConnectionResetError | BrokenPipeError)
    await rounds(loop)
    assert protocol.calls().count("connection_lost") == 1


async def test_a_reset_connection_knows_who_its_peer_was(loop: AbstractEventLoop) -> None:
    """Though nobody has asked before, and the system knows no more; and still when it is closed."""
    names: list[Any] = []

    def ask(*args: Any) -> None:
        names.append([protocol.transport.get_extra_info(name) for name in ("peername", "sockname")])

    protocol = Recording([], connection_lost=ask)
    peer = await tcp_pair(loop, protocol)
    expected = [peer.getsockname(), peer.getpeername()]
    reset(peer)
    assert isinstance(await protocol.lost, ConnectionResetError)
    ask()
    assert names == [expected, expected]


async def test_what_came_before_a_close_is_received(loop: AbstractEventLoop) -> None:
    """Though writing fails first: as long as nobody writes, nothing of it is lost."""
    protocol = Recording([])
    peer = await connected(loop, protocol)
    protocol.transport.pause_reading()
    peer.send(b"last words")
    peer.close()
    await rounds(loop)
    protocol.transport.resume_reading()
    assert await protocol.lost is None
    assert protocol.received == b"last words"


async def test_streams_tell_of_a_reset(loop: AbstractEventLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        peer, _ = listener.accept()
    reading = asyncio.ensure_future(reader.read())
    writer.write(BIG)
    draining = asyncio.ensure_future(writer.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    reset(peer)
    for waiting in (reading, draining):
        with pytest.raises(ConnectionError):
            await waiting
    with pytest.raises(ConnectionError):
        await writer.drain()
    writer.close()
    with pytest.raises(ConnectionError):
        await writer.wait_closed()


async def test_many_connections_are_reset_at_once(loop: AbstractEventLoop) -> None:
    """Each is told once; the others go on."""
    protocols = [Recording([]) for _ in range(40)]
    peers = [await tcp_pair(loop, protocol) for protocol in protocols]
    for n, (protocol, peer) in enumerate(zip(protocols, peers, strict=True)):
        protocol.transport.write(b"%d" % n)
        peer.send(b"%d" % n)
    for peer in peers[::2]:
        reset(peer)
    for n, (protocol, peer) in enumerate(zip(protocols, peers, strict=True)):
        if n % 2:
            await protocol.until_received(len(str(n)))
            assert await receive(loop, peer, len(str(n))) == b"%d" % n
            peer.close()
            assert await protocol.lost is None
        else:
            assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.calls().count("connection_lost") == 1


# Peers that sleep.


async def test_a_peer_that_never_reads(loop: AbstractEventLoop) -> None:
    """Its buffer grows by what is written, the writer is told once, and nobody else has to wait."""
    protocol, other = Recording([]), Recording([])
    peer, other_peer = await connected(loop, protocol), await connected(loop, other)
    transport = protocol.transport
    await fill(transport)
    before = transport.get_write_buffer_size()
    for _ in range(10):
        transport.write(b"x" * 1000)
        await rounds(loop, 1)
    assert transport.get_write_buffer_size() == before + 10_000
    assert protocol.calls() == ["connection_made", "pause_writing"]
    other_peer.send(b"hello")
    await other.until_received(5)
    transport.close()
    await rounds(loop)
    assert not protocol.lost.done()
    transport.abort()
    assert await protocol.lost is None
    other.transport.close()
    await other.lost
    peer.close()
    other_peer.close()


async def test_both_ends_write_and_neither_reads(loop: AbstractEventLoop) -> None:
    """Until they do: then everything arrives, both ways."""
    ends = [Recording([]), Recording([])]
    for protocol, sock in zip(ends, sockets(), strict=True):
        await loop.create_connection(lambda protocol=protocol: protocol, sock=sock)
    for protocol in ends:
        protocol.transport.pause_reading()
    sizes = [await fill(protocol.transport) for protocol in ends]
    await rounds(loop)
    for protocol in ends:
        assert protocol.calls() == ["connection_made", "pause_writing"]
        protocol.transport.resume_reading()
    for protocol, size in zip(ends, reversed(sizes), strict=True):
        await protocol.until_received(size)
        assert protocol.received == BIG * (size // len(BIG))
    for protocol in ends:
        await protocol.until_called("resume_writing")
        protocol.transport.close()
        await protocol.lost


# Children.


CAT = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


async def child(program: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", program, stdin=pipe, stdout=pipe
    )


async def test_full_pipes_both_ways(loop: AbstractEventLoop) -> None:
    """A child that can get rid of nothing takes nothing; once it is read from it takes it all."""
    process = await child(CAT)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(BIG)
    draining = asyncio.ensure_future(process.stdin.drain())
    assert await process.stdout.readexactly(251) == BIG[:251]
    assert not draining.done()
    process.stdin.write(b"end")
    process.stdin.close()
    assert await process.stdout.read() == BIG[251:] + b"end"
    await draining
    assert await process.wait() == 0


async def test_what_a_child_wrote_before_it_died_is_read(loop: AbstractEventLoop) -> None:
    program = """
        import os, signal, sys
        sys.stdout.write("x" * 60_000)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = await child("if True:" + program)
    assert await process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    assert await process.stdout.read() == b"x" * 60_000


async def test_a_child_that_dies_without_reading(loop: AbstractEventLoop) -> None:
    """Who waits for it to take the data is told."""
    process = await child("import sys; sys.stdin.buffer.read(1); sys.exit(3)")
    assert process.stdin is not None
    process.stdin.write(BIG)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await process.stdin.drain()
    assert await process.wait() == 3


async def test_many_children_are_killed_at_once(loop: AbstractEventLoop) -> None:
    processes = [await asyncio.create_subprocess_exec("sleep", "1000") for _ in range(20)]
    for process in processes:
        process.kill()
    assert (
        await asyncio.gather(*(process.wait() for process in processes)) == [-signal.SIGKILL] * 20
    )


# Fds closed under us.


async def test_a_watched_fd_is_closed_by_somebody(loop: AbstractEventLoop) -> None:
    """Without telling the loop. Others are served, and the watch can still be ended."""
    other = Recording([])
    peer = await connected(loop, other)
    reader, writer = os.pipe()
    loop.add_reader(reader, nothing)
    await rounds(loop)
    os.close(reader)
    for _ in range(3):
        await rounds_without_fds(loop, other, peer)
    assert loop.remove_reader(reader) is True
    assert loop.remove_reader(reader) is False
    os.close(writer)
    peer.close()
    await other.lost


async def test_the_fd_of_a_transport_is_closed_by_somebody(
    loop: AbstractEventLoop, errors: Errors
) -> None:
    """The next write ends it; that its socket cannot be closed any more may be reported."""
    protocol = Recording([])
    with await connected(loop, protocol):
        await rounds(loop)
        os.close(protocol.transport.get_extra_info("socket").fileno())
        protocol.transport.write(b"x")
        lost = await protocol.lost
        assert isinstance(lost, OSError)
        assert lost.errno == errno.EBADF
    await rounds(loop)
    assert all(getattr(context["exception"], "errno", None) == errno.EBADF for context in errors)
    errors.clear()
    assert protocol.calls() == ["connection_made", "connection_lost"]


async def test_a_transport_whose_fd_is_gone_can_be_closed(
    loop: AbstractEventLoop, errors: Errors
) -> None:
    protocol = Recording([])
    with await connected(loop, protocol):
        await rounds(loop)
        os.close(protocol.transport.get_extra_info("socket").fileno())
        protocol.transport.close()
        assert await protocol.lost is None
    await rounds(loop)
    assert all(getattr(context["exception"], "errno", None) == errno.EBADF for context in errors)
    errors.clear()


# Signals.


def test_a_storm_of_signals_harms_nothing(loop: AbstractEventLoop) -> None:
    """Data arrives, and of each kind of signal the last is handled, whatever was made one
    before."""
    kinds = (signal.SIGUSR1, signal.SIGUSR2)
    storm_is_over = threading.Event()
    handled = dict.fromkeys(kinds, 0)
    late: set[int] = set()

    def blow() -> None:
        for n in range(4_000):
            os.kill(os.getpid(), kinds[n % 2])
        storm_is_over.set()

    async def echo_meanwhile(both_came_late: asyncio.Event) -> None:
        def handle(sig: int) -> None:
            handled[sig] += 1
            if storm_is_over.is_set():
                late.add(sig)
                if len(late) == 2:
                    both_came_late.set()

        for sig in kinds:
            loop.add_signal_handler(sig, handle, sig)
        # The stock loop wants a report when this fd runs full, which CPython makes in the signal's
        # C handler, under a lock that the thread may hold already.
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
        protocol = Recording([])
        protocol.on["data_received"] = lambda data: protocol.transport.write(data)
        with await connected(loop, protocol) as peer:
            storm = threading.Thread(target=blow)
            storm.start()
            sending = asyncio.ensure_future(loop.sock_sendall(peer, BIG))
            assert await receive(loop, peer, len(BIG)) == BIG
            await sending
            while not storm_is_over.is_set():
                await rounds(loop, 1)
            storm.join()
            await rounds(loop)  # What wakes the loop has run full, and some have been lost.
            for sig in kinds:
                os.kill(os.getpid(), sig)
            await both_came_late.wait()
        await protocol.lost

    async def main() -> None:
        await asyncio.wait_for(echo_meanwhile(asyncio.Event()), 30)

    try:
        loop.run_until_complete(main())
    finally:
        for sig in kinds:
            loop.remove_signal_handler(sig)
    assert all(1 <= count <= 2_001 for count in handled.values())

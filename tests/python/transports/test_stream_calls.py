"""Stream transports, call by call: what each does, in which order, and with which words it refuses.

Where two versions of Python differ, stock asyncio of the running one is the oracle.
"""

import array
import asyncio
import logging
import socket
import struct
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.loops import LoopFactory, failure, nothing
from ..support.recording import (
    BIG,
    Log,
    Recording,
    RecordingBuffered,
    compare,
    connected,
    fill,
    kind,
    receive,
    receive_all,
    rounds,
    sockets,
)
from ..support.stock import needs_reading_state

#: The order of events that every connection has.
MADE_AND_LOST = [("", "connection_made"), ("", "connection_lost", None)]


# Arguments.


BAD_CALLS: dict[str, Callable[[Any], Any]] = {
    "write a str": lambda transport: transport.write("text"),
    "write None": lambda transport: transport.write(None),
    "write an int": lambda transport: transport.write(7),
    "write a list": lambda transport: transport.write([b"x"]),
    "write an array": lambda transport: transport.write(array.array("B", b"x")),
    # The stock transport of Python 3.15 queues what comes before, and is stuck.
    "writelines of str": lambda transport: transport.writelines(
        [b"fine", "text"] if sys.version_info < (3, 15) else ["text"]
    ),
    "writelines of int": lambda transport: transport.writelines([7]),
    "writelines of an int": lambda transport: transport.writelines(7),
    "limits upside down": lambda transport: transport.set_write_buffer_limits(high=1, low=2),
    "a negative limit": lambda transport: transport.set_write_buffer_limits(high=-1),
    "a negative low limit": lambda transport: transport.set_write_buffer_limits(low=-5),
    "a limit that is no number": lambda transport: transport.set_write_buffer_limits(
        high=[], low=[]
    ),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_argument_is_refused_and_does_no_harm(
    loop_factory: LoopFactory, call: Callable[[Any], Any]
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            log.append(("refused", failure(lambda: call(transport))))
            log.append(
                ("limits", transport.get_write_buffer_limits(), transport.get_write_buffer_size())
            )
            transport.write(b"still there")
            log.append(("peer", await receive(loop, peer, 11)))
            transport.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert log[-2:] == [("peer", b"still there"), MADE_AND_LOST[1]]


@pytest.mark.parametrize("data", [b"", b"x", bytearray(b"x"), memoryview(b"")])
def test_nothing_can_be_written_behind_the_end(loop_factory: LoopFactory, data: Any) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            protocol.transport.write_eof()
            log.append(failure(lambda: protocol.transport.write(data)))
            log.append(failure(lambda: protocol.transport.writelines([data])))
            log.append(failure(lambda: protocol.transport.write("text")))
            log.append((await receive_all(loop, peer),))
            protocol.transport.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert log[1] == (RuntimeError, "Cannot call write() after write_eof()")


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        memoryview(array.array("i", [1, 2, 3])),
    ],
    ids=["bytes", "bytearray", "memoryview", "memoryview of int"],
)
async def test_whatever_has_bytes_can_be_written(loop: AbstractEventLoop, data: Any) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        protocol.transport.write(data)
        protocol.transport.writelines([memoryview(data).cast("B")])
        expected = 2 * bytes(data)
        assert await receive(loop, peer, len(expected)) == expected
        protocol.transport.close()
        await protocol.lost


async def test_writing_nothing_is_harmless(loop: AbstractEventLoop) -> None:
    """Whatever is written after it arrives."""
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        protocol.transport.write(b"")
        protocol.transport.writelines([])
        protocol.transport.writelines([b"", b"a", b"", b"b"])
        protocol.transport.write(bytearray())
        protocol.transport.write(b"c")
        protocol.transport.close()
        assert await receive_all(loop, peer) == b"abc"
        assert await protocol.lost is None


async def test_many_lines_are_written_in_order(loop: AbstractEventLoop) -> None:
    """More of them than one system call takes, and more bytes than the socket does."""
    lines = [b"%d," % n * (n % 700) for n in range(3_000)]
    kinds = [bytes, bytearray, memoryview]
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        protocol.transport.write(b"start,")
        protocol.transport.writelines([kinds[n % 3](line) for n, line in enumerate(lines)])
        protocol.transport.writelines(iter([b"the", b" end"]))
        protocol.transport.write_eof()
        assert await receive_all(loop, peer) == b"start," + b"".join(lines) + b"the end"
        protocol.transport.close()
        await protocol.lost


async def test_a_bytearray_may_be_changed_once_it_was_sent(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        data = bytearray(b"as written")
        protocol.transport.write(data)
        data[:2] = b"no longer as"
        protocol.transport.write(data)
        data.clear()
        assert await receive(loop, peer, 30) == b"as writtenno longer as written"
        protocol.transport.close()
        await protocol.lost


async def test_a_bytearray_changed_too_soon_loses_no_byte(loop: AbstractEventLoop) -> None:
    """What waits may be a view of it (stock, from Python 3.12): then it is the later bytes that are
    sent."""
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        waits = await fill(protocol.transport)
        data = bytearray(b"a" * 1000)
        protocol.transport.write(data)
        data[:] = b"b" * 1000
        protocol.transport.write(b"end")
        received = await receive(loop, peer, waits + 1003)
        assert received[:waits] == BIG * (waits // len(BIG))
        assert received[waits:-3] in (b"a" * 1000, b"b" * 1000)
        assert received[-3:] == b"end"
        protocol.transport.close()
        await protocol.lost


# The order of things.


def test_the_protocol_hears_first_that_it_is_connected(loop_factory: LoopFactory) -> None:
    """Then whoever waits for the connection, then comes data, though it was there before."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        ours, peer = sockets()
        with peer:
            peer.send(b"early")
            protocol = Recording(log)
            transport, same = await loop.create_connection(lambda: protocol, sock=ours)
            log.append(("connected", transport is protocol.transport, same is protocol))
            await protocol.until_received(5)
            transport.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert [entry[0] or entry[1] for entry in log] == [
        "connection_made",
        "connected",
        "data_received",
        "connection_lost",
    ]


def test_closing_while_being_connected(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        ours, peer = sockets()
        with peer:
            peer.send(b"unheard")
            protocol = Recording(log, connection_made=lambda transport: transport.close())
            transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
            log.append(("connected", transport.is_closing()))
            await protocol.lost
            log.append(("peer", end_of(peer)))

    assert compare(loop_factory, script)[:3] == [*MADE_AND_LOST, ("connected", True)]


def end_of(sock: socket.socket) -> object:
    try:
        return sock.recv(1)
    except ConnectionResetError as error:
        return kind(error)


def test_aborting_while_being_connected(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, connection_made=lambda transport: transport.abort())
        with await connected(loop, protocol) as peer:
            await protocol.lost
            log.append(("peer", await receive_all(loop, peer)))

    assert compare(loop_factory, script) == [*MADE_AND_LOST, ("peer", b"")]


@needs_reading_state
def test_pausing_while_being_connected(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        ours, peer = sockets()
        with peer:
            peer.send(b"early")
            protocol = Recording(log, connection_made=lambda transport: transport.pause_reading())
            transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
            await rounds(loop)
            log.append(("reading", transport.is_reading()))
            transport.resume_reading()
            await protocol.until_received(5)
            transport.close()
            await protocol.lost

    assert ("reading", False) in compare(loop_factory, script)


def test_a_paused_transport_reads_nothing(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport

            def tell(what: str) -> None:
                log.append((what, transport.is_reading()))

            tell("at first")
            transport.resume_reading()
            tell("resumed in vain")
            transport.pause_reading()
            transport.pause_reading()
            tell("paused twice")
            peer.send(b"later")
            await rounds(loop)
            tell("data waits")
            transport.resume_reading()
            transport.resume_reading()
            tell("resumed twice")
            await protocol.until_received(5)
            transport.pause_reading()
            transport.close()
            tell("closed")
            transport.resume_reading()
            transport.pause_reading()
            tell("resumed and paused when closed")
            await protocol.lost
            transport.resume_reading()
            transport.pause_reading()
            tell("lost")

    compare(loop_factory, script)


def test_an_end_of_file_waits_while_reading_is_paused(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            protocol.transport.pause_reading()
            peer.send(b"last words")
        await rounds(loop)
        log.append(("resume",))
        protocol.transport.resume_reading()
        await protocol.lost

    log = compare(loop_factory, script)
    assert [entry[-1] for entry in log] == [
        "connection_made",
        "resume",
        b"last words",
        "eof_received",
        None,
    ]


def test_closing_sends_what_is_left(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            size = await fill(transport)
            transport.close()
            transport.close()
            log.append(("closed", transport.is_closing(), protocol.lost.done()))
            peer.send(b"unheard")
            await rounds(loop)
            log.append(("not yet", protocol.lost.done()))
            received = await receive(loop, peer, size)
            log.append(("all there", received == BIG * (size // len(BIG))))
            await protocol.lost
            transport.close()
            await rounds(loop)
            log.append(("peer", end_of(peer)))

    log = compare(loop_factory, script)
    assert ("all there", True) in log
    assert log.count(("", "connection_lost", None)) == 1
    assert not [entry for entry in log if "data_received" in entry]


def test_what_is_written_while_closing_still_goes_out(loop_factory: LoopFactory) -> None:
    """As long as there is something left to send."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            size = await fill(protocol.transport)
            protocol.transport.close()
            protocol.transport.write(b"p.s.")
            log.append(("end", (await receive_all(loop, peer))[size:]))
            await protocol.lost

    log = compare(loop_factory, script)
    assert ("end", b"p.s.") in log


@pytest.mark.parametrize(
    "first", [nothing, lambda transport: transport.close()], ids=["open", "closing"]
)
def test_aborting_drops_what_is_left(
    loop_factory: LoopFactory, first: Callable[[Any], None]
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            size = await fill(transport)
            first(transport)
            transport.abort()
            transport.abort()
            log.append(("aborted", transport.is_closing(), transport.get_write_buffer_size()))
            log.append(("not at once", protocol.lost.done()))
            await protocol.lost
            received = await receive_all(loop, peer)
            log.append(("dropped some", len(received) < size))
            transport.abort()
            transport.close()

    log = compare(loop_factory, script)
    assert log[-1] == ("dropped some", True)
    assert log.count(("", "connection_lost", None)) == 1


# Half-closing.


@pytest.mark.parametrize("answer", [None, False, True, 0, "yes", []])
def test_the_end_of_file_closes_unless_the_protocol_says_no(
    loop_factory: LoopFactory, answer: Any
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, eof_received=lambda: answer)
        with await connected(loop, protocol) as peer:
            peer.send(b"question")
            peer.shutdown(socket.SHUT_WR)
            await protocol.until_called("eof_received")
            log.append(("after", protocol.transport.is_closing(), protocol.transport.is_reading()))
            protocol.transport.write(b"answer")
            protocol.transport.close()
            await protocol.lost
            log.append(("peer", await receive_all(loop, peer)))

    log = compare(loop_factory, script)
    assert log[-1] == ("peer", b"answer" if answer else b"")


def test_the_end_is_sent_behind_the_data(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            size = await fill(transport)
            transport.write_eof()
            transport.write_eof()
            log.append(("ended", transport.is_closing(), transport.can_write_eof()))
            received = await receive_all(loop, peer)
            log.append(("all", len(received) == size))
            peer.send(b"the other direction")
            await protocol.until_received(19)
            transport.close()
            transport.write_eof()
            await protocol.lost

    log = compare(loop_factory, script)
    assert ("all", True) in log
    assert ("", "data_received", b"the other direction") in log


def test_a_closing_transport_has_no_end_to_write(loop_factory: LoopFactory) -> None:
    """It is ignored, and so is what is written after it."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            protocol.transport.close()
            protocol.transport.write_eof()
            log.append(("write", failure(lambda: protocol.transport.write(b"x"))))
            await protocol.lost
            log.append(("peer", await receive_all(loop, peer)))

    assert compare(loop_factory, script)[1] == ("write", None)


# What a transport tells of itself.


KEYS = ["socket", "sockname", "peername", "pipe", "sslcontext", "cipher", "no such thing"]


def shown(info: Any) -> Any:
    """Independent of the numbers of the day."""
    if isinstance(info, tuple) and len(info) == 2:
        return info[0], type(info[1])
    if hasattr(info, "fileno"):
        return type(info).__name__, info.fileno() >= 0, info.family, info.type
    return info


@pytest.mark.parametrize("kind_of_socket", ["pair", "tcp", "unix"])
def test_what_is_known_of_a_connection(
    loop_factory: LoopFactory, kind_of_socket: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        server_side = Recording(log, "server")
        ends: list[Recording] = [Recording(log, "client"), server_side]
        await connect_both(loop, kind_of_socket, ends, tmp_path_factory)

        def tell() -> None:
            for protocol in ends:
                for key in KEYS:
                    info = protocol.transport.get_extra_info(key)
                    default = protocol.transport.get_extra_info(key, "default")
                    log.append((protocol.name, key, no_path(shown(info)), no_path(shown(default))))

        tell()
        ends[0].transport.close()
        tell()
        for protocol in ends:
            await protocol.lost
        tell()

    compare(loop_factory, script)


def no_path(info: Any) -> Any:
    return "a path" if isinstance(info, str) and info.startswith("/") else info


async def connect_both(
    loop: AbstractEventLoop, how: str, ends: list[Recording], paths: pytest.TempPathFactory
) -> None:
    """Connects the first protocol with the second, by way of a server if that is how."""
    client, server_side = ends
    if how == "pair":
        left, right = sockets()
        await loop.create_connection(lambda: client, sock=left)
        await loop.create_connection(lambda: server_side, sock=right)
        return
    if how == "tcp":
        server = await loop.create_server(lambda: server_side, "127.0.0.1", 0)
        await loop.create_connection(lambda: client, *server.sockets[0].getsockname())
    else:
        path = str(paths.mktemp("s") / "s")
        server = await loop.create_unix_server(lambda: server_side, path)
        await loop.create_unix_connection(lambda: client, path)
    # Their order is nobody's business.
    del client.log[:], server_side.log[:]
    await server_side.until(lambda: server_side.transport is not None)
    del client.log[:], server_side.log[:]
    server.close()


async def test_the_addresses_are_those_of_the_sockets(loop: AbstractEventLoop) -> None:
    made: list[Recording] = [Recording([])]
    server = await loop.create_server(lambda: made[0], "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client = Recording([])
    transport, _ = await loop.create_connection(lambda: client, *address)
    await made[0].until_called("connection_made")
    accepted = made[0].transport
    assert transport.get_extra_info("peername") == accepted.get_extra_info("sockname") == address
    assert transport.get_extra_info("sockname") == accepted.get_extra_info("peername")
    sock = transport.get_extra_info("socket")
    assert sock.getsockname() == transport.get_extra_info("sockname")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.close()
    await client.lost
    await made[0].lost
    assert sock.fileno() == -1
    assert transport.get_extra_info("peername") == address
    server.close()
    await server.wait_closed()


def without_number(transport: Any) -> str:
    """Its repr, less the class's name and the fd's number, which are no promise."""
    words = repr(transport)[1:-1].split(" ")[1:]
    return " ".join("fd=N" if word.startswith("fd=") else word for word in words)


def test_a_repr_tells_the_state(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            for call in (nothing, type(transport).pause_reading, type(transport).resume_reading):
                call(transport)
                log.append((without_number(transport),))
            fd = transport.get_extra_info("socket").fileno()
            log.append((f"fd={fd}" in repr(transport),))
            size = await fill(transport)
            transport.set_write_buffer_limits(low=0)
            left = transport.get_write_buffer_size()
            log.append((without_number(transport).replace(str(left), "SIZE"),))
            transport.close()
            log.append((without_number(transport).replace(str(left), "SIZE"),))
            await receive(loop, peer, size)
            await protocol.lost
            log.append((without_number(transport),))
            log.append((f"fd={fd}" in repr(transport),))

    log = compare(loop_factory, script)
    assert log[1] == ("fd=N read=polling write=<idle, bufsize=0>",)
    assert log[-2:] == [("closed fd=N",), (True,)]


async def test_a_transport_is_of_the_known_classes(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol):
        transport = protocol.transport
        for known in (
            asyncio.Transport,
            asyncio.ReadTransport,
            asyncio.WriteTransport,
            asyncio.BaseTransport,
        ):
            assert isinstance(transport, known)
        assert not isinstance(transport, asyncio.DatagramTransport)
        assert {transport: 1}[transport] == 1
        assert transport == transport
        transport.attribute_of_the_programs = 7
        assert transport.attribute_of_the_programs == 7
        transport.close()
        await protocol.lost


async def test_the_fd_of_a_transport_is_its_own(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        transport = protocol.transport
        sock = transport.get_extra_info("socket")
        for fd in (sock, sock.fileno()):
            expected = f"File descriptor {fd!r} is used by transport {transport!r}"
            for call in (loop.add_reader, loop.add_writer):
                assert failure(lambda: call(fd, nothing)) == (RuntimeError, expected)  # noqa: B023
            for remove in (loop.remove_reader, loop.remove_writer):
                assert failure(lambda: remove(fd)) == (RuntimeError, expected)  # noqa: B023
        transport.pause_reading()
        assert failure(lambda: loop.add_reader(sock, nothing)) is not None
        copy = socket.socket(fileno=sock.fileno())
        for operation in (loop.sock_recv(copy, 1), loop.sock_recv_into(copy, bytearray(1))):
            with pytest.raises(RuntimeError, match="is used by transport"):
                await operation
        copy.detach()
        assert peer.send(b"x")
        transport.close()
        assert loop.remove_reader(sock) is False  # A closing transport has let go of it.
        await protocol.lost


# Protocols.


def test_the_protocol_can_be_exchanged(loop_factory: LoopFactory) -> None:
    """Also for one of the other kind, and amid its data."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        buffered = RecordingBuffered(log, "buffered", size=3)
        plain = Recording(log, "plain")
        first = Recording(log, data_received=lambda data: first.transport.set_protocol(buffered))
        with await connected(loop, first) as peer:
            transport = first.transport
            log.append(("first", transport.get_protocol() is first))
            peer.send(b"one")
            await first.until_received(3)
            log.append(("buffered", transport.get_protocol() is buffered))
            peer.send(b"two, three")
            await buffered.until_received(10)
            transport.set_protocol(plain)
            peer.send(b"four")
            await plain.until_received(4)
            transport.close()
            log.append(("closing", transport.get_protocol() is plain))
            transport.set_protocol(buffered)
            await buffered.lost
            log.append(("lost", transport.get_protocol()))

    log = compare(loop_factory, script)
    assert log[-2:] == [("buffered", "connection_lost", None), ("lost", None)]


def test_a_buffer_is_asked_for_without_a_hint(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        buffer = bytearray(4)

        def get_buffer(sizehint: int) -> memoryview:
            log.append(("hint", sizehint))
            return memoryview(buffer)[1:3]

        protocol = RecordingBuffered(
            log, get_buffer=get_buffer, buffer_updated=lambda _: log.append(buffer[:])
        )
        with await connected(loop, protocol) as peer:
            peer.send(b"abcd")
            await protocol.until_called("buffer_updated", 2)
            protocol.transport.close()
            await protocol.lost

    assert ("hint", -1) in compare(loop_factory, lambda loop, log: flat(script, loop, log))


async def flat(script: Any, loop: AbstractEventLoop, log: Log) -> None:
    """The script's log, in tuples."""
    await script(loop, log)
    log[:] = [entry if isinstance(entry, tuple) else (bytes(entry),) for entry in log]


# Flow control.


def test_the_limits_have_their_defaults(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol):
            transport = protocol.transport
            log.append(("default", *transport.get_write_buffer_limits()))
            for limits in (
                {"high": 1000},
                {"low": 7},
                {"high": 0},
                {"low": 0},
                {"high": 5, "low": 5},
                {},
            ):
                transport.set_write_buffer_limits(**limits)
                log.append((str(limits), *transport.get_write_buffer_limits()))
            transport.set_write_buffer_limits(9, 3)
            log.append(("by position", *transport.get_write_buffer_limits()))
            transport.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert log[1:3] == [("default", 16384, 65536), ("{'high': 1000}", 250, 1000)]


async def test_writing_is_paused_above_the_high_mark_exactly(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1 << 30)
        size = await fill(transport)
        left = transport.get_write_buffer_size()
        transport.set_write_buffer_limits(high=left)
        assert protocol.calls() == ["connection_made"]
        transport.write(b"x")
        assert transport.get_write_buffer_size() == left + 1
        assert protocol.calls() == ["connection_made", "pause_writing"]
        transport.write(b"y")
        transport.set_write_buffer_limits(high=1)
        transport.set_write_buffer_limits(high=1 << 30, low=1 << 20)
        assert protocol.calls() == ["connection_made", "pause_writing"]
        protocol.on["resume_writing"] = lambda: sizes.append(transport.get_write_buffer_size())
        sizes: list[int] = []
        received = await receive(loop, peer, size + 2)
        await protocol.until_called("resume_writing")
        assert sizes[0] <= 1 << 20
        assert received[-2:] == b"xy"
        assert protocol.calls() == ["connection_made", "pause_writing", "resume_writing"]
        transport.close()
        await protocol.lost


async def test_lower_limits_pause_at_once(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        transport = protocol.transport
        transport.set_write_buffer_limits(high=1 << 30)
        size = await fill(transport)
        transport.set_write_buffer_limits(high=transport.get_write_buffer_size() - 1, low=0)
        assert protocol.calls() == ["connection_made", "pause_writing"]
        protocol.on["resume_writing"] = lambda: sizes.append(transport.get_write_buffer_size())
        sizes: list[int] = []
        await receive(loop, peer, size)
        await protocol.until_called("resume_writing")
        assert sizes == [0]
        transport.close()
        await protocol.lost


async def test_writing_more_once_resumed_pauses_again(loop: AbstractEventLoop) -> None:
    """And all that is written in between arrives."""
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        times = iter(range(5))

        def write_more() -> None:
            if next(times, None) is not None:
                protocol.transport.write(BIG)

        protocol.on["resume_writing"] = write_more
        protocol.transport.write(BIG)
        received = await receive(loop, peer, 6 * len(BIG))
        await protocol.until_called("resume_writing", 6)
        assert received == 6 * BIG
        assert protocol.calls() == ["connection_made", *6 * ["pause_writing", "resume_writing"]]
        protocol.transport.close()
        await protocol.lost


async def test_a_zero_limit_pauses_whenever_something_is_left(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol) as peer:
        protocol.transport.set_write_buffer_limits(high=0)
        protocol.transport.write(b"goes out at once")
        assert protocol.calls() == ["connection_made"]
        size = await fill(protocol.transport)
        assert protocol.calls() == ["connection_made", "pause_writing"]
        await receive(loop, peer, size + 16)
        await protocol.until_called("resume_writing")
        protocol.transport.close()
        await protocol.lost


# After the end.


AFTER: dict[str, Callable[[Any], Any]] = {
    "write": lambda transport: transport.write(b"x"),
    "write nothing": lambda transport: transport.write(b""),
    "write a str": lambda transport: transport.write("x"),
    "writelines of nothing": lambda transport: transport.writelines([]),
    "write_eof": lambda transport: transport.write_eof(),
    "can_write_eof": lambda transport: transport.can_write_eof(),
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "is_closing": lambda transport: transport.is_closing(),
    "is_reading": lambda transport: transport.is_reading(),
    "pause_reading": lambda transport: transport.pause_reading(),
    "resume_reading": lambda transport: transport.resume_reading(),
    "get_protocol": lambda transport: transport.get_protocol(),
    "get_extra_info": lambda transport: transport.get_extra_info("peername"),
    "get_write_buffer_size": lambda transport: transport.get_write_buffer_size(),
    "get_write_buffer_limits": lambda transport: transport.get_write_buffer_limits(),
    "set_write_buffer_limits": lambda transport: transport.set_write_buffer_limits(5, 3),
    "repr": lambda transport: without_number(transport),
}


@pytest.mark.parametrize("how", ["close", "abort", "eof", "error"])
def test_a_transport_can_be_used_after_its_end(loop_factory: LoopFactory, how: str) -> None:
    """It does nothing then, and fails at nothing."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer:
            transport = protocol.transport
            if how == "eof":
                peer.shutdown(socket.SHUT_WR)
            elif how == "error":
                protocol.on["data_received"] = lambda data: 1 / 0
                peer.send(b"x")
            else:
                getattr(transport, how)()
            await protocol.lost
            for name, call in AFTER.items():
                results: list[Any] = []
                log.append((name, failure(lambda: results.append(call(transport))), *results))  # noqa: B023
            transport.set_protocol(protocol)
            await rounds(loop)

    compare(loop_factory, script)


def test_writes_to_a_lost_connection_are_warned_of(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """From the fifth on. None of them raises."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol), caplog.at_level(logging.WARNING, "asyncio"):
            protocol.transport.abort()
            for when in ("before", "after"):
                for n in range(4):
                    caplog.clear()
                    protocol.transport.write(b"x")
                    protocol.transport.write(b"")
                    log.append((when, n, *caplog.messages))
                await protocol.lost
        caplog.clear()

    log = compare(loop_factory, script)
    assert log[-1] == ("after", 3, "socket.send() raised exception.")
    assert len([entry for entry in log if len(entry) > 2 and entry[0] in ("before", "after")]) == 4


# In the midst of a callback.


ENDINGS: dict[str, Callable[[Any], Any]] = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "close and abort": lambda transport: (transport.close(), transport.abort()),
    "write and close": lambda transport: (transport.write(b"bye"), transport.close()),
    "end and close": lambda transport: (transport.write_eof(), transport.close()),
    "pause and close": lambda transport: (transport.pause_reading(), transport.close()),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("kind_of_protocol", [Recording, RecordingBuffered])
def test_ending_amid_data_is_the_end_of_it(
    loop_factory: LoopFactory, end: Callable[[Any], Any], kind_of_protocol: Any
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def handle(_: Any) -> None:
            peer.send(b"too late")
            end(protocol.transport)
            log.append(("in it", protocol.lost.done(), protocol.transport.is_closing()))

        protocol = kind_of_protocol(log, data_received=handle, buffer_updated=handle)
        with await connected(loop, protocol) as peer:
            peer.send(b"x")
            await protocol.lost
            await rounds(loop)

    log = compare(loop_factory, script)
    assert [entry[-1] for entry in log] == ["connection_made", b"x", True, None]


def test_pausing_amid_data_keeps_the_rest(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = RecordingBuffered(
            log, size=3, buffer_updated=lambda _: protocol.transport.pause_reading()
        )
        with await connected(loop, protocol) as peer:
            peer.send(b"three at a time")
            peer.shutdown(socket.SHUT_WR)
            for n in range(1, 6):
                await protocol.until_called("buffer_updated", n)
                await rounds(loop)
                log.append(("so far", bytes(protocol.received)))
                protocol.transport.resume_reading()
            await protocol.lost

    log = compare(loop_factory, script)
    assert [entry[1] for entry in log if entry[0] == "so far"] == [
        b"three at a time"[:n] for n in range(3, 16, 3)
    ]


def test_aborting_amid_data_sends_nothing_more(loop_factory: LoopFactory) -> None:
    """The socket is ready both ways at that time."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, data_received=lambda _: protocol.transport.abort())
        with await connected(loop, protocol) as peer:
            size = await fill(protocol.transport)
            received = drain(peer)
            peer.send(b"x")
            await protocol.lost
            received += drain(peer)
            log.append(("dropped some", received < size))

    log = compare(loop_factory, script)
    assert "resume_writing" not in [entry[1] for entry in log]
    assert log[-1] == ("dropped some", True)


def drain(sock: socket.socket) -> int:
    size = 0
    try:
        while data := sock.recv(1 << 18):
            size += len(data)
    except (BlockingIOError, ConnectionResetError):
        pass
    return size


def test_writing_amid_data_answers(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log, data_received=lambda data: protocol.transport.write(data.upper()))
        with await connected(loop, protocol) as peer:
            for word in (b"one", b"two"):
                await loop.sock_sendall(peer, word)
                log.append(("peer", await receive(loop, peer, 3)))
            protocol.transport.close()
            await protocol.lost

    assert ("peer", b"TWO") in compare(loop_factory, script)


def test_a_transport_may_be_closed_while_it_is_lost(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def use(exc: Exception | None) -> None:
            transport = protocol.transport
            transport.close()
            transport.abort()
            transport.write(b"unsent")
            log.append(("inside", transport.is_closing(), transport.get_protocol() is protocol))
            sock = transport.get_extra_info("socket")
            log.append(("still open", sock.fileno() >= 0))

        protocol = Recording(log, connection_lost=use)
        with await connected(loop, protocol) as peer:
            protocol.transport.close()
            await protocol.lost
            await rounds(loop)
            log.append(("peer", await receive_all(loop, peer)))

    log = compare(loop_factory, script)
    assert log[-3:] == [("inside", True, True), ("still open", True), ("peer", b"")]


# Other users of a transport.


def test_nothing_is_written_amid_a_file(loop_factory: LoopFactory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        with await connected(loop, protocol) as peer, path.open("rb") as file:
            transport = protocol.transport
            size = await fill(transport)
            sending = asyncio.ensure_future(loop.sendfile(transport, file, 3, 1_000_000))
            await asyncio.sleep(0)
            log.append(("write", failure(lambda: transport.write(b"x"))))
            log.append(("writelines", failure(lambda: transport.writelines([b"x"]))))
            log.append(("reading", transport.is_reading()))
            received = await receive(loop, peer, size + 1_000_000)
            log.append(("sent", await sending, received[size:] == BIG[3:1_000_003]))
            log.append(("reading", transport.is_reading()))
            transport.write(b"after")
            peer.send(b"hello")
            await protocol.until_received(5)
            log.append(("peer", await receive(loop, peer, 5)))
            transport.close()
            await protocol.lost
            try:
                await loop.sendfile(transport, file)
            except RuntimeError as error:
                log.append(("closed", error))

    log = compare(loop_factory, script)
    assert ("write", (RuntimeError, "unable to write; sendfile is in progress")) in log
    assert ("sent", 1_000_000, True) in log
    assert log[-1] == ("closed", "RuntimeError(Transport is closing)")


def test_a_file_whose_receiver_is_gone(loop_factory: LoopFactory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = Recording(log)
        peer = await connected(loop, protocol)
        with path.open("rb") as file:
            sending = asyncio.ensure_future(loop.sendfile(protocol.transport, file))
            await receive(loop, peer, 100_000)
            peer.close()
            try:
                await sending
            except OSError as error:
                log.append(("failed", type(error)))
            protocol.transport.close()
            await protocol.lost

    log = compare(loop_factory, script)
    assert log[1] == ("failed", BrokenPipeError)


def test_a_transport_cannot_be_made_of_what_is_no_stream(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                await loop.create_connection(asyncio.Protocol, sock=datagrams)
            except ValueError as error:
                log.append(("refused", str(error).split(",")[0]))

    assert compare(loop_factory, script) == [("refused", "A Stream Socket was expected")]


class Kept(socket.socket):
    """Whoever closes it leaves the fd alone. From Python 3.14 asyncio closes a socket that it
    refuses."""

    def close(self) -> None: ...


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not look")
async def test_a_second_transport_of_a_socket_is_refused(loop: AbstractEventLoop) -> None:
    protocol = Recording([])
    with await connected(loop, protocol):
        sock = protocol.transport.get_extra_info("socket")
        copy = Kept(fileno=sock.fileno())
        with pytest.raises(RuntimeError, match=r"^File descriptor .* is used by transport "):
            await loop.create_connection(asyncio.Protocol, sock=copy)
        copy.detach()
        protocol.transport.close()
        await protocol.lost


async def test_a_cancelled_connection_is_closed(loop: AbstractEventLoop) -> None:
    """Before anybody has got the transport."""
    protocol = Recording([])
    ours, peer = sockets()
    with peer:
        connecting = asyncio.ensure_future(loop.create_connection(lambda: protocol, sock=ours))
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert await protocol.lost is None
        assert await receive_all(loop, peer) == b""
    assert protocol.calls() == ["connection_made", "connection_lost"]


async def test_a_reset_is_given_to_the_protocol(loop: AbstractEventLoop) -> None:
    """Over TCP, where there are resets."""
    made = Recording([])
    server = await loop.create_server(lambda: made, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    await made.until_called("connection_made")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert isinstance(await made.lost, ConnectionResetError)
    assert made.calls() == ["connection_made", "connection_lost"]
    server.close()
    await server.wait_closed()

"""Datagram transports where they read several at once, remember addresses, leave work to Python's
socket."""

import asyncio
import contextvars
import socket
import sys
from asyncio import AbstractEventLoop
from pathlib import Path
from typing import Any

import pytest

from ..support import child
from ..support.loops import LoopFactory, failure
from ..support.nested_loop import Nested
from ..support.recording import Log, RecordingDatagrams, compare, rounds

LOCAL = ("127.0.0.1", 0)
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def bare(family: int = socket.AF_INET, address: Any = LOCAL) -> socket.socket:
    """A bound socket that does not block."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(address)
    return sock


async def of_socket(
    loop: AbstractEventLoop, protocol: RecordingDatagrams, sock: socket.socket
) -> Any:
    """An endpoint of a socket that there is already."""
    await loop.create_datagram_endpoint(lambda: protocol, sock=sock)
    return protocol.transport


async def end(*protocols: RecordingDatagrams) -> None:
    for protocol in protocols:
        protocol.transport.close()
        await protocol.lost


# Several datagrams are read at once, which must not show.


def test_what_a_datagram_schedules_runs_before_the_next(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def schedule(data: bytes, sender: Any) -> None:
            loop.call_soon(log.append, ("scheduled by", data))

        protocol = RecordingDatagrams(log, datagram_received=schedule)
        with bare() as sock, bare() as sender:
            for n in range(40):
                sender.sendto(b"%d" % n, sock.getsockname())
            await of_socket(loop, protocol, sock)
            await protocol.until_called("datagram_received", 40)
            await end(protocol)

    log = compare(loop_factory, script)
    assert [entry[0] for entry in log[1:5]] == ["", "scheduled by", "", "scheduled by"]


def test_a_stop_leaves_the_next_datagram_to_the_next_run(loop: AbstractEventLoop) -> None:
    async def start() -> RecordingDatagrams:
        protocol = RecordingDatagrams([], datagram_received=lambda *_: loop.stop())
        await of_socket(loop, protocol, sock)
        return protocol

    with bare() as sock, bare() as sender:
        protocol = loop.run_until_complete(start())
        for n in range(3):
            sender.sendto(b"%d" % n, sock.getsockname())
        for n in range(3):
            assert protocol.calls().count("datagram_received") == n
            loop.run_forever()
        loop.run_until_complete(end(protocol))
    assert [entry[2] for entry in protocol.log if entry[1] == "datagram_received"] == [
        b"0",
        b"1",
        b"2",
    ]


async def test_a_flood_of_datagrams_is_no_reason_for_others_to_wait(qt_loop: Any) -> None:
    """When the slice is over, which here is at once, everybody else has a turn."""
    log: Log = []
    protocols = [RecordingDatagrams(log, name) for name in ("left", "right")]
    qt_loop.slice = 0
    with bare() as left, bare() as right, bare() as sender:
        for sock, protocol in zip((left, right), protocols, strict=True):
            await of_socket(qt_loop, protocol, sock)
        for _ in range(100):
            sender.sendto(b"x", left.getsockname())
            sender.sendto(b"x", right.getsockname())
        for protocol in protocols:
            await protocol.until_called("datagram_received", 100)
        await end(*protocols)
    names = [name for name, callback, *_ in log if callback == "datagram_received"]
    assert set(names[:50]) == {"left", "right"}


async def test_a_nested_loop_amid_a_datagram_reads_on(qt_loop: Any) -> None:
    def received(data: bytes, sender: Any) -> None:
        if data == b"0":
            nested.exec()
            unnested.set_result(len(protocol.senders))
        if data == b"19":
            nested.quit()

    nested = Nested()
    unnested = qt_loop.create_future()
    protocol = RecordingDatagrams([], datagram_received=received)
    with bare() as sock, bare() as sender:
        for n in range(30):
            sender.sendto(b"%d" % n, sock.getsockname())
        await of_socket(qt_loop, protocol, sock)
        await protocol.until_called("datagram_received", 30)
        await end(protocol)
    received_in_order = [entry[2] for entry in protocol.log if entry[1] == "datagram_received"]
    assert received_in_order == [b"%d" % n for n in range(30)]
    assert await unnested >= 20


def test_an_exception_amid_several_datagrams_loses_none(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def fail_sometimes(data: bytes, sender: Any) -> None:
            if int(data) % 3 == 0:
                raise LookupError(data)

        protocol = RecordingDatagrams(log, datagram_received=fail_sometimes)
        with bare() as sock, bare() as sender:
            for n in range(20):
                sender.sendto(b"%d" % n, sock.getsockname())
            await of_socket(loop, protocol, sock)
            await protocol.until_called("datagram_received", 20)
            await end(protocol)

    compare(loop_factory, script)


async def test_a_socket_that_blocks_is_read_without_waiting(loop: Any) -> None:
    """The stock transport reads only once an event, and so does not notice."""
    protocol = RecordingDatagrams([])
    with bare() as sender:
        sock = bare()
        sock.setblocking(True)
        sender.sendto(b"the only one", sock.getsockname())
        loop._make_datagram_transport(sock, protocol)
        await protocol.until_called("datagram_received")
        await end(protocol)


# Addresses.

SENT_TO = {
    "a pair": (socket.AF_INET, lambda port: ("127.0.0.1", port)),
    "a name": (socket.AF_INET, lambda port: ("localhost", port)),
    "a short form": (socket.AF_INET, lambda port: ("127.1", port)),
    "the empty host": (socket.AF_INET, lambda port: ("", port)),
    "bytes": (socket.AF_INET, lambda port: (b"127.0.0.1", port)),
    "a list": (socket.AF_INET, lambda port: ["127.0.0.1", port]),
    "a triple": (socket.AF_INET, lambda port: ("127.0.0.1", port, 0)),
    "a port that is no int": (socket.AF_INET, lambda port: ("127.0.0.1", str(port))),
    "a negative port": (socket.AF_INET, lambda port: ("127.0.0.1", -port)),
    "a great port": (socket.AF_INET, lambda port: ("127.0.0.1", port + (1 << 16))),
    "a great port of IPv6": (socket.AF_INET6, lambda port: ("::1", port + (1 << 16))),
    "octal": (socket.AF_INET, lambda port: ("127.0.0.01", port)),
    "zero": (socket.AF_INET, lambda port: ("127.0.0.1", 0)),
    "IPv6 for IPv4": (socket.AF_INET, lambda port: ("::1", port)),
    "IPv6": (socket.AF_INET6, lambda port: ("::1", port)),
    "IPv6 with flowinfo": (socket.AF_INET6, lambda port: ("::1", port, 0)),
    "IPv6 with a scope": (socket.AF_INET6, lambda port: ("::1", port, 0, 0)),
    "IPv6 with too much": (socket.AF_INET6, lambda port: ("::1", port, 0, 0, 0)),
    "too great a flowinfo": (socket.AF_INET6, lambda port: ("::1", port, 1 << 20, 0)),
    "a negative scope": (socket.AF_INET6, lambda port: ("::1", port, 0, -1)),
    "an unusual form": (socket.AF_INET6, lambda port: ("0:0::0001", port)),
    "nothing": (socket.AF_INET, lambda port: ()),
    "only a host": (socket.AF_INET6, lambda port: ("::1",)),
}


@pytest.mark.parametrize(("family", "address"), SENT_TO.values(), ids=SENT_TO)
def test_where_datagrams_go(loop_factory: LoopFactory, family: int, address: Any) -> None:
    """Where asyncio's go, or nowhere for the same reason: twice, since addresses are remembered."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        protocol = RecordingDatagrams(log)
        with bare(family, (host, 0)) as receiver:
            transport = await of_socket(loop, protocol, bare(family, (host, 0)))
            to = address(receiver.getsockname()[1])
            for _ in range(2):
                log.append(("raises", failure(lambda: transport.sendto(b"hello", to))))
                if log[-1] == ("raises", None) and log[-2][1] == "connection_made":
                    data, sender = await asyncio.wait_for(loop.sock_recvfrom(receiver, 10), 5)
                    log.append((data, sender == transport.get_extra_info("sockname")))
                if transport.is_closing():
                    break
            transport.close()
            await protocol.lost

    compare(loop_factory, script)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_answers_go_to_whom_the_question_came_from(loop_factory: LoopFactory, family: int) -> None:
    """Peers take turns, so that a remembered address is now the right one, now the wrong one."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        server = RecordingDatagrams([], datagram_received=lambda data, sender: answer(data, sender))
        transport = await of_socket(loop, server, bare(family, (host, 0)))
        peers = [bare(family, (host, 0)) for _ in range(3)]

        def answer(data: bytes, sender: Any) -> None:
            transport.sendto(data + b" to its sender", sender)
            transport.sendto(data + b" to an equal", (*sender,))
            transport.sendto(data + b" to the first", first)

        first = peers[0].getsockname()
        for turn in (0, 1, 1, 0, 2, 2, 1, 0):
            await loop.sock_sendto(peers[turn], b"%d" % turn, transport.get_extra_info("sockname"))
            answers = [await loop.sock_recv(peers[n], 100) for n in (turn, turn, 0)]
            log.append((turn, answers, server.senders[-1] == peers[turn].getsockname()))
            log.append((type(server.senders[-1]), [type(part) for part in server.senders[-1]]))
        await end(server)
        for peer in peers:
            peer.close()

    compare(loop_factory, script)


def test_arguments_have_names(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocol = RecordingDatagrams(log)
        transport = await of_socket(loop, protocol, bare())
        address = transport.get_extra_info("sockname")
        transport.sendto(data=b"1", addr=address)
        transport.sendto(b"2", addr=address)
        calls: list[Any] = [
            lambda: transport.sendto(),
            lambda: transport.sendto(addr=address),
            lambda: transport.sendto(b"x", address, 0),
            lambda: transport.sendto(b"x", flags=0),
            lambda: transport.sendto(b"x", data=b"x"),
        ]
        for call in calls:
            refused = failure(call)
            assert refused is not None
            log.append((refused[0],))
        await protocol.until_called("datagram_received", 2)
        await end(protocol)

    compare(loop_factory, script)


def test_unix_addresses(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """A path, an abstract name, none."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        with (
            bare(socket.AF_UNIX, b"") as receiver,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed,
        ):
            address = receiver.getsockname()
            path = tmp_path / "päth"
            protocol = RecordingDatagrams(log)
            transport = await of_socket(loop, protocol, receiver.dup())
            with (
                bare(socket.AF_UNIX, str(path)) as named,
                bare(socket.AF_UNIX, b"\0qtloop\0test") as abstract,
            ):
                for n, sender in enumerate((unnamed, named, abstract), 1):
                    sender.sendto(b"x", address)
                    await protocol.until_called("datagram_received", n)
                for sender, to in (
                    (named, str(path)),
                    (named, bytes(path)),
                    (abstract, b"\0qtloop\0test"),
                ):
                    sender.setblocking(False)
                    transport.sendto(b"back", to)
                    log.append((await loop.sock_recv(sender, 10), to))
            path.unlink()
            log.append((protocol.senders,))
            await end(protocol)

    (senders,) = compare(loop_factory, script)[-2]
    assert senders == [None, str(tmp_path / "päth"), b"\0qtloop\0test"]


def test_a_pair_of_unix_sockets_has_no_names(loop_factory: LoopFactory) -> None:
    """For asyncio such a peer is none, so that sending fails for want of an address."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with right:
            protocol = RecordingDatagrams(log)
            transport = await of_socket(loop, protocol, left)
            right.send(b"hello")
            await protocol.until_called("datagram_received")
            log.append((protocol.senders, transport.get_extra_info("peername")))
            transport.sendto(b"hello")
            await protocol.lost

    compare(loop_factory, script)


def test_a_socket_of_a_class_of_its_own_does_it_its_own_way(loop_factory: LoopFactory) -> None:
    class Through(socket.socket):
        """As those that go through a proxy."""

        def recvfrom(self, *args: Any) -> Any:
            data, sender = super().recvfrom(*args)
            return b"through " + data, ("far away", sender[1] and 1)

        def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]
            return super().sendto(b"through " + data, ("127.0.0.1", address[1]))

        def send(self, data: Any, *args: Any) -> int:
            return super().send(b"connected through " + data, *args)

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        with bare() as peer:
            for is_connected in (False, True):
                protocol = RecordingDatagrams(log)
                sock = Through(type=socket.SOCK_DGRAM)
                sock.setblocking(False)
                sock.bind(LOCAL)
                if is_connected:
                    sock.connect(peer.getsockname())
                transport = await of_socket(loop, protocol, sock)
                transport.sendto(b"there", ("far away", peer.getsockname()[1]))
                log.append((await loop.sock_recv(peer, 100),))
                peer.sendto(b"back", sock.getsockname())
                await protocol.until(lambda protocol=protocol: bool(protocol.senders))
                log.append((protocol.senders,))
                await end(protocol)

    compare(loop_factory, script)


# What has to wait.


@pytest.fixture
def full(tmp_path: Path) -> Any:
    """Makes Unix sockets that take no more datagrams, by name: with each how many it holds."""

    def make(name: str) -> tuple[socket.socket, int]:
        path = tmp_path / name
        path.unlink(missing_ok=True)
        receiver = bare(socket.AF_UNIX, str(path))
        receivers.append(receiver)
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            while failure(lambda: sender.sendto(b"in the way", str(path))) is None:
                count += 1
        return receiver, count

    receivers: list[socket.socket] = []
    yield make
    for receiver in receivers:
        receiver.close()


def test_an_error_amid_what_waits_leaves_the_rest(
    loop_factory: LoopFactory, full: Any, tmp_path: Path
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        receiver, count = full("full")
        gone, _ = full("gone")
        protocol = RecordingDatagrams(log)
        await loop.create_datagram_endpoint(
            lambda: protocol, local_addr=str(tmp_path / "sender"), family=socket.AF_UNIX
        )
        for data, name in (
            (b"1", "full"),
            (b"2", "gone"),
            (b"3", "nobody"),
            (b"4", "full"),
            (b"", "full"),
        ):
            protocol.transport.sendto(data, str(tmp_path / name))
        log.append(("waits", protocol.transport.get_write_buffer_size()))
        gone.close()
        protocol.transport.close()
        received = [await loop.sock_recv(receiver, 100) for _ in range(count + 2)]
        log.append((received[count:], await protocol.lost))

    log = compare(loop_factory, script)
    assert [entry[1] for entry in log if entry[0] == ""].count("error_received") == 2


async def test_all_that_waited_has_no_size_when_it_is_sent(
    qt_loop: Any, full: Any, tmp_path: Path
) -> None:
    """Nor does the header, which early releases of Python 3.13 count for ever."""
    receiver, count = full("full")
    protocol = RecordingDatagrams([])
    await qt_loop.create_datagram_endpoint(
        lambda: protocol, remote_addr=str(tmp_path / "full"), family=socket.AF_UNIX
    )
    protocol.transport.set_write_buffer_limits(high=0)
    for _ in range(5):
        protocol.transport.sendto(b"12345")
    header = 8 if sys.version_info >= (3, 13) else 0
    assert protocol.transport.get_write_buffer_size() == 5 * (5 + header)
    for _ in range(count + 5):
        await qt_loop.sock_recv(receiver, 100)
    await protocol.until_called("resume_writing")
    assert protocol.transport.get_write_buffer_size() == 0
    await end(protocol)


@pytest.mark.parametrize("waits", [False, True])
def test_memory_in_pieces(
    loop_factory: LoopFactory, full: Any, tmp_path: Path, waits: bool
) -> None:
    """It is put together if it has to wait, and otherwise cannot be sent."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        receiver, count = full("full")
        protocol = RecordingDatagrams(log)
        await loop.create_datagram_endpoint(
            lambda: protocol, remote_addr=str(tmp_path / "full"), family=socket.AF_UNIX
        )
        if waits:
            protocol.transport.sendto(b"first")
        protocol.transport.sendto(memoryview(b"a.b.c.")[::2])
        protocol.transport.close()
        received = [await loop.sock_recv(receiver, 100) for _ in range(count + 2 * waits)]
        log.append((received[count:],))
        await protocol.lost

    compare(loop_factory, script)


# Contexts, and the end.


def test_each_callback_has_its_context(
    loop_factory: LoopFactory, full: Any, tmp_path: Path
) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        def note(what: str) -> Any:
            def noted(*args: Any) -> None:
                log.append((what, variable.get()))
                variable.set(f"set by {what}")

            return noted

        receiver, count = full("full")
        names = ("connection_made", "datagram_received", "error_received", "connection_lost")
        protocol = RecordingDatagrams([], **{name: note(name) for name in names})
        variable.set("of the creator")
        await loop.create_datagram_endpoint(
            lambda: protocol, local_addr=str(tmp_path / "it"), family=socket.AF_UNIX
        )
        with bare(socket.AF_UNIX, b"") as sender:
            for n in (1, 2):
                sender.sendto(b"x", str(tmp_path / "it"))
                await protocol.until_called("datagram_received", n)
        variable.set("of the sender")
        gone, _ = full("gone")
        protocol.transport.sendto(b"x", str(tmp_path / "full"))
        protocol.transport.sendto(b"x", str(tmp_path / "gone"))
        variable.set("of the closer")
        gone.close()
        for _ in range(count + 1):
            await loop.sock_recv(receiver, 100)
        await protocol.until_called("error_received")
        protocol.transport.close()
        await protocol.lost
        (tmp_path / "it").unlink()

    compare(loop_factory, script)


@pytest.mark.parametrize("is_connected", [False, True])
def test_closing_does_not_hold_back_what_is_sent_in_the_same_breath(
    loop_factory: LoopFactory, is_connected: bool
) -> None:
    """Without a peer it still goes out; with one it does not."""

    async def script(loop: AbstractEventLoop, log: Log) -> None:
        with bare() as receiver:
            address = receiver.getsockname()
            protocol = RecordingDatagrams(log)
            peer = {"remote_addr": address} if is_connected else {"local_addr": LOCAL}
            await loop.create_datagram_endpoint(lambda: protocol, **peer)  # type: ignore[arg-type]
            protocol.transport.close()
            protocol.transport.sendto(b"late", None if is_connected else address)
            await protocol.lost
            await rounds(loop)
            log.append((failure(lambda: receiver.recv(10)) is None,))

    assert compare(loop_factory, script)[-1] == (not is_connected,)


def test_nothing_is_sent_after_the_end(qt_loop: AbstractEventLoop) -> None:
    """Also if the fd's number belongs to another socket by then."""

    async def main() -> None:
        protocol = RecordingDatagrams([])
        await qt_loop.create_datagram_endpoint(lambda: protocol, local_addr=LOCAL)
        number = protocol.transport.get_extra_info("socket").fileno()
        await end(protocol)
        with bare() as receiver, socket.socket(type=socket.SOCK_DGRAM) as successor:
            assert number in (receiver.fileno(), successor.fileno())
            with pytest.raises(AttributeError):
                protocol.transport.sendto(b"late", receiver.getsockname())
            assert failure(lambda: receiver.recv(10)) is not None

    qt_loop.run_until_complete(main())


def test_an_endpoint_that_is_left_open_when_python_ends(name: str) -> None:
    """In a cycle, too, which the interpreter collects when hardly anything works any more."""
    program = """
        import warnings
        warnings.simplefilter("ignore")

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

        async def main():
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))

        loop = qtloop.EventLoop()
        loop.run_until_complete(main())
        loop.close()
        print("done")
    """
    outcome = child.run(program, name)
    assert (outcome.code, outcome.out, outcome.err) == (0, "done\n", "")

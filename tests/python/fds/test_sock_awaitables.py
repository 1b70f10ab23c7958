"""What `loop.sock_*` return: awaited like coroutines, without one; waiting, cancelled, dropped,
failing.

The stock loop stands beside, except where qtloop promises more.
"""

import array
import asyncio
import collections.abc
import contextlib
import gc
import inspect
import os
import socket
import ssl
import struct
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qtloop import EventLoop

from ..support.loops import OURS, Pair, failure, nothing, opened

BIG = bytes(range(256)) * 16_384  # 4 MiB: more than any socket buffer takes at once.

Start = Callable[[Any, socket.socket], Any]

#: Each operation on a socket that makes it wait, and on one that does not.
READING: dict[str, Start] = {
    "sock_recv": lambda loop, sock: loop.sock_recv(sock, 10),
    "sock_recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(10)),
    "sock_recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 10),
    "sock_recvfrom_into": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(10)),
}
WRITING: dict[str, Start] = {
    "sock_sendall": lambda loop, sock: loop.sock_sendall(sock, BIG),
}
EVERY = {
    **READING,
    **WRITING,
    "sock_accept": lambda loop, sock: loop.sock_accept(sock),
    "sock_sendto": lambda loop, sock: loop.sock_sendto(sock, b"x", ("127.0.0.1", 9)),
}
every = pytest.mark.parametrize("start", EVERY.values(), ids=EVERY)
reading = pytest.mark.parametrize("start", READING.values(), ids=READING)
waiting = pytest.mark.parametrize(
    "start", [*READING.values(), *WRITING.values()], ids=[*READING, *WRITING]
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def datagrams() -> Iterator[Pair]:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as other,
    ):
        for sock in (one, other):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
        yield one, other


def drive(operation: Any) -> Any:
    """Awaits what need not wait, without a loop; its result."""
    with pytest.raises(StopIteration) as stopped:
        operation.send(None)
    return stopped.value.value


async def started(loop: Any, operation: Any) -> asyncio.Task[Any]:
    """A task that awaits the operation and has found that it must wait."""
    task: asyncio.Task[Any] = loop.create_task(operation)
    await asyncio.sleep(0)
    assert not task.done()
    return task


def watched(loop: Any) -> set[int]:
    """The fds that somebody waits for, without the loop's own."""
    return {*loop._selector.get_map()} - {loop._ssock.fileno()}


async def one_iteration() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# How it looks.


@every
def test_it_counts_as_a_coroutine(loop: Any, pair: Pair, start: Start) -> None:
    operation = start(loop, pair[0])
    assert asyncio.iscoroutine(operation)
    assert inspect.isawaitable(operation)
    assert isinstance(operation, collections.abc.Coroutine)
    assert not asyncio.isfuture(operation)
    operation.close()


@every
def test_its_name_is_the_methods(
    qt_loop: Any, pair: Pair, start: Start, request: pytest.FixtureRequest
) -> None:
    operation = start(qt_loop, pair[0])
    name = request.node.callspec.id.rpartition("-")[2]
    assert operation.__name__ == name
    assert operation.__qualname__ == f"EventLoop.{name}"
    assert repr(operation) == f"<EventLoop.{name}() not awaited yet>"
    operation.close()
    assert repr(operation) == f"<EventLoop.{name}() done>"


async def test_a_waiting_one_says_so(qt_loop: EventLoop, pair: Pair) -> None:
    operation: Any = qt_loop.sock_recv(pair[0], 1)
    task = await started(qt_loop, operation)
    assert repr(operation) == f"<EventLoop.sock_recv() waiting for fd {pair[0].fileno()}>"
    assert "coro=<EventLoop.sock_recv()" in repr(task)
    task.cancel()


@every
def test_the_methods_say_what_they_take(
    qt_loop: Any, start: Start, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id.rpartition("-")[2]
    ours = inspect.signature(getattr(qt_loop, name))
    stock = inspect.signature(getattr(asyncio.SelectorEventLoop, name))
    assert [*ours.parameters] == [*stock.parameters][1:]
    assert getattr(qt_loop, name).__doc__


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.sock_recv(),
        lambda loop: loop.sock_recv(1),
        lambda loop: loop.sock_recv(1, 2, 3),
        lambda loop: loop.sock_recv(1, 2, n=3),
        lambda loop: loop.sock_recv(1, size=3),
        lambda loop: loop.sock_recvfrom_into(1),
        lambda loop: loop.sock_recvfrom_into(1, 2, 3, 4),
        lambda loop: loop.sock_sendto(1, 2),
        lambda loop: loop.sock_accept(),
        lambda loop: loop.sock_accept(1, 2),
    ],
)
def test_wrong_calls_are_refused_in_the_same_words(
    qt_loop: Any, stock_loop: Any, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError) as ours:
        call(qt_loop)
    with pytest.raises(TypeError) as theirs:
        call(stock_loop)
    assert str(ours.value) == str(theirs.value)


def test_arguments_may_be_named(loop: Any, pair: Pair) -> None:
    left, right = pair
    right.send(b"hello")
    assert drive(loop.sock_recv(n=3, sock=left)) == b"hel"
    assert drive(loop.sock_recvfrom_into(left, nbytes=1, buf=bytearray(9)))[0] == 1


# Before, during and after its run.


@every
def test_nothing_happens_before_it_is_awaited(loop: Any, pair: Pair, start: Start) -> None:
    left, right = pair
    right.send(b"hello")
    operation = start(loop, left)
    operation.close()
    assert left.recv(10) == b"hello"
    with pytest.raises(BlockingIOError):
        right.recv(1)


def test_one_that_is_never_awaited_is_just_dropped(qt_loop: Any, pair: Pair) -> None:
    buffer = bytearray(10)
    before = sys.getrefcount(buffer)
    for _ in range(3):
        qt_loop.sock_recv_into(pair[0], buffer)
    assert sys.getrefcount(buffer) == before
    assert watched(qt_loop) == set()


def test_what_need_not_wait_needs_no_loop(loop: Any, pair: Pair) -> None:
    left, right = pair
    assert drive(loop.sock_sendall(left, b"hello")) is None
    assert drive(loop.sock_recv(right, 3)) == b"hel"
    buffer = bytearray(4)
    assert drive(loop.sock_recv_into(right, buffer)) == 2
    assert buffer == b"lo\0\0"
    assert drive(loop.sock_sendall(left, b"again")) is None
    assert drive(loop.sock_recvfrom(right, 10))[0] == b"again"


@every
def test_it_cannot_be_awaited_twice(loop: Any, pair: Pair, start: Start) -> None:
    operation = start(loop, pair[0])
    operation.close()
    operation.close()
    for again in (lambda: operation.send(None), lambda: operation.throw(ValueError())):
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            again()


async def test_it_cannot_be_awaited_again_when_it_has_returned(loop: Any, pair: Pair) -> None:
    pair[1].send(b"hello")
    operation = loop.sock_recv(pair[0], 10)
    assert await operation == b"hello"
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await operation


async def test_two_tasks_cannot_await_one(loop: Any, pair: Pair) -> None:
    operation = loop.sock_recv(pair[0], 10)

    async def receive() -> bytes:
        received: bytes = await operation
        return received

    first = await started(loop, receive())
    with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
        await receive()
    pair[1].send(b"hello")
    assert await first == b"hello"


def test_the_first_value_sent_must_be_none(loop: Any, pair: Pair) -> None:
    operation = loop.sock_recv(pair[0], 10)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        operation.send(1)
    operation.close()


def test_going_on_before_the_future_is_done_is_refused(loop: Any, pair: Pair) -> None:
    operation = loop.sock_recv(pair[0], 10)
    future = operation.send(None)
    assert asyncio.isfuture(future) and not future.done()
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        operation.send(None)
    future.cancel()
    loop.run_until_complete(one_iteration())
    assert watched(loop) == set()


class Unusual(Exception):
    pass


@pytest.mark.parametrize(
    "arguments",
    [
        (Unusual("why"),),
        (Unusual, "why"),
        (Unusual, Unusual("why")),
        (Unusual, Unusual("why"), None),
    ],
)
def test_what_is_thrown_in_comes_out(qt_loop: Any, pair: Pair, arguments: Any) -> None:
    for waits in (False, True):
        operation = qt_loop.sock_recv(pair[0], 10)
        if waits:
            operation.send(None)
        with pytest.raises(Unusual, match="why"):
            operation.throw(*arguments)
        assert watched(qt_loop) == set()


@pytest.mark.parametrize("thrown", [1, int, None])
def test_only_exceptions_can_be_thrown_in(qt_loop: Any, pair: Pair, thrown: Any) -> None:
    operation = qt_loop.sock_recv(pair[0], 10)
    with pytest.raises(
        TypeError, match="exceptions must be classes or instances deriving from BaseException"
    ):
        operation.throw(thrown)
    operation.close()


# Waiting.


@waiting
async def test_it_waits_until_the_socket_is_ready(loop: Any, pair: Pair, start: Start) -> None:
    left, right = pair
    task = await started(loop, start(loop, left))
    assert watched(loop) == {left.fileno()}
    right.send(b"hello")
    received = 0
    while not task.done() and received < len(BIG):
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            received += len(right.recv(1 << 20))
    result = await task
    assert result in (b"hello", 5, (b"hello", None), (5, None), (b"hello", ""), (5, ""), None)
    await one_iteration()
    assert watched(loop) == set()


async def test_datagrams_wait_too(loop: Any, datagrams: Pair) -> None:
    one, other = datagrams
    address = other.getsockname()
    for start, expected in (
        (loop.sock_recvfrom(one, 10), (b"hello", address)),
        (loop.sock_recv(one, 3), b"hel"),
        (loop.sock_recvfrom_into(one, bytearray(10), 2), (2, address)),
    ):
        task = await started(loop, start)
        assert await loop.sock_sendto(other, b"hello", one.getsockname()) == 5
        assert await task == expected


async def test_accepting_waits(loop: Any, listener: socket.socket) -> None:
    task = await started(loop, loop.sock_accept(listener))
    with socket.create_connection(listener.getsockname()) as client:
        connection, address = await task
        with connection:
            assert type(connection) is socket.socket
            assert connection.gettimeout() == 0
            assert address == client.getsockname()


async def test_a_report_in_vain_is_waited_through(loop: Any, pair: Pair) -> None:
    left, right = pair
    task = await started(loop, loop.sock_recv(left, 10))
    for _ in range(5):
        # Read by somebody else before the task gets to it.
        right.send(b"stolen")
        with contextlib.suppress(BlockingIOError):
            assert left.recv(10) == b"stolen"
        await one_iteration()
        assert not task.done()
    right.send(b"hello")
    assert await task == b"hello"


async def test_the_end_of_the_stream_wakes(loop: Any, pair: Pair) -> None:
    left, right = pair
    task = await started(loop, loop.sock_recv(left, 10))
    right.close()
    assert await task == b""
    assert await loop.sock_recv(left, 10) == b""
    assert await loop.sock_recv_into(left, bytearray(1)) == 0


async def test_many_round_trips_keep_nothing(qt_loop: Any, pair: Pair) -> None:
    left, right = pair

    async def echo() -> None:
        while data := await qt_loop.sock_recv(right, 100):
            await qt_loop.sock_sendall(right, data)

    task = qt_loop.create_task(echo())

    async def trips(count: int) -> int:
        for _ in range(count):
            await qt_loop.sock_sendall(left, b"ping")
            assert await qt_loop.sock_recv(left, 100) == b"ping"
        gc.collect()
        return len(gc.get_objects())

    await trips(100)
    before = await trips(100)
    assert await trips(5_000) <= before + 20
    left.close()
    await task


@pytest.mark.parametrize("size", [1, 1000, 256 * 1024, 256 * 1024 + 1, 1 << 22])
async def test_any_size_can_be_asked_for(loop: Any, pair: Pair, size: int) -> None:
    left, right = pair
    sending = asyncio.ensure_future(loop.sock_sendall(right, BIG))
    received = bytearray()
    while len(received) < min(len(BIG), 100 * size):
        chunk = await loop.sock_recv(left, size)
        assert 0 < len(chunk) <= size
        received += chunk
    assert BIG.startswith(received)
    sending.cancel()


async def test_a_big_datagram_comes_in_one_piece(loop: Any) -> None:
    left, right = socket.socketpair(type=socket.SOCK_DGRAM)
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        data = bytes(100_000)
        await loop.sock_sendall(left, data)
        assert await loop.sock_recv(right, 1 << 20) == data


# Cancelled.


@waiting
async def test_a_cancelled_one_waits_no_more(loop: Any, pair: Pair, start: Start) -> None:
    task = await started(loop, start(loop, pair[0]))
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert watched(loop) == set()


@reading
async def test_cancelled_before_the_data_it_has_read_nothing(
    loop: Any, pair: Pair, start: Start
) -> None:
    left, right = pair
    task = await started(loop, start(loop, left))
    task.cancel()
    right.send(b"kept")
    await asyncio.wait([task])
    assert task.cancelled()
    assert left.recv(10) == b"kept"


@reading
async def test_cancelled_after_the_event_it_has_read_nothing(
    qt_loop: EventLoop, pair: Pair, start: Start
) -> None:
    """The stock loop has read the data by then, and loses it."""
    left, right = pair
    operation = start(qt_loop, left)
    future = operation.send(None)
    right.send(b"kept")
    await asyncio.wait([future])
    with pytest.raises(asyncio.CancelledError):
        operation.throw(asyncio.CancelledError())
    assert left.recv(10) == b"kept"


async def test_timeouts_end_it(loop: Any, pair: Pair) -> None:
    left, right = pair
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.sock_recv(left, 10), 0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await loop.sock_recv(left, 10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.sock_sendall(left, BIG), 0.01)
    assert watched(loop) == set()
    right.send(b"kept")
    assert await asyncio.wait_for(loop.sock_recv(left, 10), 10) == b"kept"


async def test_it_may_be_gathered(loop: Any, pair: Pair) -> None:
    left, right = pair
    results = await asyncio.gather(
        loop.sock_recv(left, 10),
        loop.sock_recv(right, 10),
        loop.sock_sendall(left, b"l"),
        loop.sock_sendall(right, b"r"),
    )
    assert results == [b"r", b"l", None, None]


async def test_a_timed_out_receiver_loses_nothing(qt_loop: EventLoop, pair: Pair) -> None:
    """However the timeouts and the data fall together."""
    left, right = pair
    total, received, sent = 2_000, bytearray(), 0
    while len(received) < total:
        if sent < total:
            right.send(bytes([sent % 251]))
            sent += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                received += await qt_loop.sock_recv(left, 1)
    assert received == bytes(n % 251 for n in range(total))


async def test_an_abandoned_coroutine_waits_no_more(qt_loop: Any, pair: Pair) -> None:
    async def receive() -> None:
        await qt_loop.sock_recv(pair[0], 10)

    coroutine = receive()
    coroutine.send(None)
    assert watched(qt_loop) == {pair[0].fileno()}
    del coroutine
    assert watched(qt_loop) == set()


# Others at the same fd.


async def test_a_second_receiver_takes_the_place_of_the_first(loop: Any, pair: Pair) -> None:
    left, right = pair
    first = await started(loop, loop.sock_recv(left, 10))
    second = await started(loop, loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await second == b"hello"
    right.send(b"more")
    await one_iteration()
    assert not first.done()
    assert await loop.sock_recv(left, 10) == b"more"
    first.cancel()
    await asyncio.wait([first])


async def test_ending_the_first_leaves_the_second(loop: Any, pair: Pair) -> None:
    left, right = pair
    first = await started(loop, loop.sock_recv(left, 10))
    second = await started(loop, loop.sock_recv(left, 10))
    first.cancel()
    await asyncio.wait([first])
    assert watched(loop) == {left.fileno()}
    right.send(b"hello")
    assert await second == b"hello"


async def test_a_reader_takes_the_place_of_an_operation(loop: Any, pair: Pair) -> None:
    left, right = pair
    seen: list[bytes] = []
    task = await started(loop, loop.sock_recv(left, 10))
    loop.add_reader(left, lambda: seen.append(left.recv(10)))
    right.send(b"hello")
    await asyncio.sleep(0.01)
    assert seen == [b"hello"]
    task.cancel()
    await asyncio.wait([task])
    right.send(b"more")
    await asyncio.sleep(0.01)
    assert seen == [b"hello", b"more"]
    assert loop.remove_reader(left)


async def test_an_operation_takes_the_place_of_a_reader(loop: Any, pair: Pair) -> None:
    left, right = pair
    loop.add_reader(left, nothing)
    task = await started(loop, loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await task == b"hello"
    await one_iteration()
    assert not loop.remove_reader(left)


async def test_a_removed_reader_is_a_forgotten_operation(loop: Any, pair: Pair) -> None:
    left, right = pair
    task = await started(loop, loop.sock_recv(left, 10))
    assert loop.remove_reader(left)
    right.send(b"hello")
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert await loop.sock_recv(left, 10) == b"hello"


async def test_a_reader_after_operations_is_told_again_and_again(loop: Any, pair: Pair) -> None:
    """Operations are told once; whoever watches the same fd afterwards is told as long as it is
    ready."""
    left, right = pair
    right.send(b"hello")
    assert await loop.sock_recv(left, 10) == b"hello"
    task = await started(loop, loop.sock_recv(left, 1))
    right.send(b"hello")
    assert await task == b"h"
    calls = asyncio.Semaphore(0)
    loop.add_reader(left, calls.release)
    for _ in range(5):
        await calls.acquire()
    loop.remove_reader(left)
    assert await loop.sock_recv(left, 10) == b"ello"


async def test_both_directions_are_independent(loop: Any, pair: Pair) -> None:
    left, right = pair
    reading = await started(loop, loop.sock_recv(left, 10))
    writing = await started(loop, loop.sock_sendall(left, BIG))
    reading.cancel()
    await asyncio.wait([reading])
    received = 0
    while received < len(BIG):
        received += len(await loop.sock_recv(right, 1 << 20))
    await writing
    reading = await started(loop, loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await reading == b"hello"


async def test_a_reader_and_a_sender(loop: Any, pair: Pair) -> None:
    left, right = pair
    calls = asyncio.Semaphore(0)
    loop.add_reader(left, calls.release)
    writing = await started(loop, loop.sock_sendall(left, BIG))
    received = 0
    while received < len(BIG):
        received += len(await loop.sock_recv(right, 1 << 20))
    await writing
    right.send(b"x")
    for _ in range(3):
        await calls.acquire()
    assert loop.remove_reader(left)


# The same number, another file.


async def test_a_successor_under_the_same_number_is_watched(loop: Any) -> None:
    for _ in range(5):
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            task = await started(loop, loop.sock_recv(left, 10))
            right.send(b"hello")
            assert await task == b"hello"


async def test_a_duplicate_does_not_speak_for_the_successor(loop: Any, pair: Pair) -> None:
    """A file whose number is closed stays in an epoll set as long as it has another number."""
    left, right = pair
    task = await started(loop, loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await task == b"hello"
    await one_iteration()
    number = left.fileno()
    with socket.socket(fileno=os.dup(number)) as duplicate:
        left.close()
        reader, writer = os.pipe()
        if reader != number:
            os.dup2(reader, number)
            os.close(reader)
        called: list[int] = []
        loop.add_reader(number, called.append, 1)
        right.send(b"for the duplicate")
        await asyncio.sleep(0.01)
        assert called == []
        os.write(writer, b"x")
        await asyncio.sleep(0.01)
        assert called
        assert duplicate.recv(100) == b"for the duplicate"
        loop.remove_reader(number)
        os.close(number)
        os.close(writer)


async def test_another_file_put_in_its_place_is_watched(loop: Any, pair: Pair) -> None:
    left, _ = pair
    new_left, new_right = socket.socketpair()
    with new_left, new_right:
        new_left.setblocking(False)
        pair[1].send(b"x")
        assert await loop.sock_recv(left, 10) == b"x"
        task = await started(loop, loop.sock_recv(left, 10))
        pair[1].send(b"y")
        assert await task == b"y"
        with socket.socket(fileno=os.dup(left.fileno())):
            os.dup2(new_left.fileno(), left.fileno())
            task = await started(loop, loop.sock_recv(left, 10))
            new_right.send(b"hello")
            assert await task == b"hello"


async def test_an_idle_socket_makes_no_wake_ups(qt_loop: EventLoop, pair: Pair) -> None:
    """What arrives while nobody waits is noticed once at most, however long it stays."""
    left, right = pair
    fds = qt_loop.metrics().fds
    task = await started(qt_loop, qt_loop.sock_recv(left, 10))
    assert qt_loop.metrics().fds == fds + 1
    right.send(b"hello")
    assert await task == b"hello"
    assert qt_loop.metrics().fds == fds
    right.send(b"unread")
    await asyncio.sleep(0.05)
    before = qt_loop.metrics().turns
    right.send(b"unread")
    await asyncio.sleep(0.05)
    assert qt_loop.metrics().turns - before < 10
    assert await qt_loop.sock_recv(left, 100) == b"unreadunread"
    task = await started(qt_loop, qt_loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await task == b"hello"


# Errors.


async def test_a_closed_socket_is_a_bad_descriptor(loop: Any) -> None:
    sock = socket.socket()
    sock.setblocking(False)
    sock.close()
    for start in EVERY.values():
        with pytest.raises(OSError, match=r"\[Errno 9\] Bad file descriptor"):
            await start(loop, sock)


async def test_a_reset_connection_raises(loop: Any, listener: socket.socket) -> None:
    for waits in (False, True):
        with socket.create_connection(listener.getsockname()) as client:
            client.setblocking(False)
            server, _ = await loop.sock_accept(listener)
            task = await started(loop, loop.sock_recv(client, 10)) if waits else None
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            with pytest.raises(
                ConnectionResetError, match=r"\[Errno 104\] Connection reset by peer"
            ):
                await (task or loop.sock_recv(client, 10))
            with pytest.raises(BrokenPipeError, match=r"\[Errno 32\] Broken pipe"):
                await loop.sock_sendall(client, b"x")


async def test_no_connection_no_data(loop: Any) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(OSError, match=r"\[Errno 107\]"):
            await loop.sock_recv(sock, 1)


@pytest.mark.parametrize(
    "start",
    [
        lambda loop, sock: loop.sock_recv(sock, "1"),
        lambda loop, sock: loop.sock_recv(sock, 1.5),
        lambda loop, sock: loop.sock_recv(sock, -1),
        lambda loop, sock: loop.sock_recv(sock, None),
        lambda loop, sock: loop.sock_recv(sock, 1 << 100),
        lambda loop, sock: loop.sock_recv_into(sock, b"immutable"),
        lambda loop, sock: loop.sock_recv_into(sock, "text"),
        lambda loop, sock: loop.sock_recv_into(sock, memoryview(bytearray(10))[::2]),
        lambda loop, sock: loop.sock_recvfrom(sock, "1"),
        lambda loop, sock: loop.sock_recvfrom_into(sock, b"immutable"),
        lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(3), 4),
        lambda loop, sock: loop.sock_recvfrom_into(sock, 5),
        lambda loop, sock: loop.sock_sendall(sock, "text"),
        lambda loop, sock: loop.sock_sendall(sock, 5),
        lambda loop, sock: loop.sock_sendall(sock, [b"x"]),
        lambda loop, sock: loop.sock_sendall(sock, memoryview(b"0123456789")[::2]),
        lambda loop, sock: loop.sock_sendto(sock, "text", ("127.0.0.1", 1)),
        lambda loop, sock: loop.sock_sendto(sock, b"x", "nowhere at all"),
        lambda loop, sock: loop.sock_accept(5),
        lambda loop, sock: loop.sock_recv(5, 5),
        lambda loop, sock: loop.sock_recv(sock.fileno(), 5),
        lambda loop, sock: loop.sock_sendall(None, b"x"),
    ],
)
def test_wrong_arguments_raise_the_same(
    qt_loop: Any, stock_loop: Any, pair: Pair, start: Start
) -> None:
    ours, theirs = start(qt_loop, pair[0]), start(stock_loop, pair[0])
    expected = failure(lambda: theirs.send(None))
    assert expected is not None
    assert failure(lambda: ours.send(None)) == expected


async def test_nothing_asked_for_nothing_waited_for(loop: Any, pair: Pair) -> None:
    left, right = pair
    assert await loop.sock_recv(left, 0) == b""
    assert await loop.sock_recv_into(left, bytearray()) == 0
    assert await loop.sock_sendall(left, b"") is None
    assert await loop.sock_sendall(left, bytearray()) is None
    with pytest.raises(BlockingIOError):
        right.recv(1)


def test_ssl_sockets_are_refused(loop: Any, pair: Pair) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with context.wrap_socket(pair[0], do_handshake_on_connect=False) as sock:
        for start in EVERY.values():
            with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                start(loop, sock).send(None)


async def test_a_transports_socket_is_refused(loop: Any, pair: Pair) -> None:
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=pair[0])
    for start in (*READING.values(), *WRITING.values()):
        with pytest.raises(RuntimeError, match=r"File descriptor \d+ is used by transport <"):
            await start(loop, pair[0])
    transport.abort()
    await one_iteration()


def test_a_closed_loop_cannot_wait(loop: Any, pair: Pair) -> None:
    loop.close()
    for start in READING.values():
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            start(loop, pair[0]).send(None)
    pair[1].send(b"x")
    assert drive(loop.sock_recv(pair[0], 1)) == b"x"


async def test_a_loop_in_debug_mode_works(loop: Any, pair: Pair, listener: socket.socket) -> None:
    loop.set_debug(True)
    left, right = pair
    task = await started(loop, loop.sock_recv(left, 10))
    assert "sock_recv" in repr(task)
    right.send(b"hello")
    assert await task == b"hello"
    left.setblocking(True)
    for start in EVERY.values():
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await start(loop, left)


async def test_a_blocking_socket_does_not_block(qt_loop: EventLoop, pair: Pair) -> None:
    """Outside debug mode nobody checks; the stock loop would wait here for ever."""
    qt_loop.set_debug(False)
    left, right = pair
    left.setblocking(True)
    task = await started(qt_loop, qt_loop.sock_recv(left, 10))
    right.send(b"hello")
    assert await task == b"hello"


# Sockets with methods of their own.


class Socket(socket.socket):
    """Notes what is called, and fails as it is told to."""

    fails_with: BaseException | None = None

    def note(self) -> None:
        if self.fails_with is not None:
            error, self.fails_with = self.fails_with, None
            raise error

    def recv(self, *args: Any) -> bytes:
        self.note()
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        self.note()
        return super().recv_into(*args)

    def send(self, *args: Any) -> int:
        self.note()
        return super().send(*args)


@pytest.fixture
def own(pair: Pair) -> Iterator[Socket]:
    with Socket(fileno=os.dup(pair[0].fileno())) as sock:
        sock.setblocking(False)
        yield sock


@pytest.mark.parametrize("error", [BlockingIOError(), InterruptedError()])
async def test_a_subclass_may_say_that_it_is_not_ready(
    loop: Any, pair: Pair, own: Socket, error: OSError
) -> None:
    pair[1].send(b"hello")
    own.fails_with = error
    assert await loop.sock_recv(own, 10) == b"hello"
    own.fails_with = error
    assert await loop.sock_sendall(own, b"back") is None
    assert pair[1].recv(10) == b"back"


async def test_a_subclass_sends_big_data(loop: Any, pair: Pair, own: Socket) -> None:
    task = await started(loop, loop.sock_sendall(own, BIG))
    received = bytearray()
    while len(received) < len(BIG):
        received += await loop.sock_recv(pair[1], 1 << 20)
    assert received == BIG
    await task


async def test_a_subclass_may_fail(loop: Any, own: Socket) -> None:
    for start in (READING["sock_recv"], READING["sock_recv_into"], WRITING["sock_sendall"]):
        own.fails_with = Unusual("why")
        with pytest.raises(Unusual, match="why"):
            await start(loop, own)
    task = await started(loop, loop.sock_recv(own, 10))
    own.fails_with = Unusual("later")
    own.shutdown(socket.SHUT_RD)
    with pytest.raises(Unusual, match="later"):
        await task


@pytest.mark.parametrize("fatal", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_passes(
    qt_loop: EventLoop, pair: Pair, own: Socket, fatal: type[BaseException]
) -> None:
    async def receive() -> None:
        await qt_loop.sock_recv(own, 10)

    task = qt_loop.create_task(receive())
    qt_loop.call_soon(setattr, own, "fails_with", fatal())
    qt_loop.call_soon(pair[1].send, b"x")
    with pytest.raises(fatal):
        qt_loop.run_forever()
    assert task.done()
    assert isinstance(task.exception(), fatal)


@pytest.mark.parametrize("host_and_fds", OURS)
def test_an_interrupt_as_the_task_is_woken_loses_nothing(host_and_fds: str, pair: Pair) -> None:
    host, fds = host_and_fds.split("-")

    class Interrupted(EventLoop):
        is_armed = False

        def call_soon(self, *args: Any, **kwargs: Any) -> Any:
            handle = super().call_soon(*args, **kwargs)
            if self.is_armed:
                self.is_armed = False
                raise KeyboardInterrupt
            return handle

    with opened(lambda: Interrupted(host=host, fds=fds)) as loop:
        task: asyncio.Task[bytes] = loop.create_task(loop.sock_recv(pair[0], 10))  # type: ignore[arg-type]
        loop.run_until_complete(one_iteration())
        pair[1].send(b"hello")
        loop.is_armed = True  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert loop.run_until_complete(task) == b"hello"


def test_an_attempt_cannot_be_entered(qt_loop: Any, pair: Pair) -> None:
    refused: list[str] = []

    class Nested(Socket):
        def recv(self, *args: Any) -> bytes:
            for enter in (
                lambda: operation.send(None),
                operation.close,
                lambda: operation.throw(ValueError()),
            ):
                with pytest.raises(ValueError, match="coroutine already executing") as info:
                    enter()
                refused.append(str(info.value))
            return b"done"

    with Nested(fileno=os.dup(pair[0].fileno())) as sock:
        sock.setblocking(False)
        operation = qt_loop.sock_recv(sock, 1)
        assert drive(operation) == b"done"
    assert len(refused) == 3


# Buffers.


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, lambda data: array.array("i", data)]
)
async def test_any_bytes_are_sent(
    qt_loop: EventLoop, pair: Pair, make: Callable[[bytes], Any]
) -> None:
    """The stock loop does not get to the end of an array of anything but bytes."""
    left, right = pair
    task = await started(qt_loop, qt_loop.sock_sendall(left, make(BIG)))
    received = bytearray()
    while len(received) < len(BIG):
        received += await qt_loop.sock_recv(right, 1 << 20)
    assert received == BIG
    assert await task is None


async def test_data_that_waits_cannot_be_resized_until_it_is_sent(loop: Any, pair: Pair) -> None:
    data = bytearray(BIG)
    task = await started(loop, loop.sock_sendall(pair[0], data))
    with pytest.raises(BufferError):
        data.append(1)
    task.cancel()
    await asyncio.wait([task])
    del task
    gc.collect()
    data.append(1)


async def test_a_buffer_is_let_go_between_attempts(qt_loop: EventLoop, pair: Pair) -> None:
    buffer = bytearray(3)
    task = await started(qt_loop, qt_loop.sock_recv_into(pair[0], buffer))
    buffer.append(1)
    pair[1].send(b"hello")
    assert await task == 4
    assert buffer == b"hell"


# Nothing is kept.


@waiting
@pytest.mark.parametrize("end", ["close", "throw", "drop"])
def test_every_reference_is_given_back(qt_loop: Any, pair: Pair, start: Start, end: str) -> None:
    sock = pair[0]

    def rounds() -> list[int]:
        for _ in range(100):
            operation = start(qt_loop, sock)
            with contextlib.suppress(StopIteration):
                operation.send(None)
            if end == "throw":
                with pytest.raises(Unusual):
                    operation.throw(Unusual)
            else:
                operation.close()
            del operation
            while True:
                try:
                    pair[1].recv(1 << 20)
                except BlockingIOError:
                    break
        gc.collect()
        return [sys.getrefcount(thing) for thing in (sock, qt_loop, BIG, None.__class__)]

    rounds()
    before = rounds()
    assert rounds() == before


def test_a_loop_with_waiting_tasks_is_collected(
    qt_loop_factory: Callable[[], EventLoop], pair: Pair
) -> None:
    loop = qt_loop_factory()
    buffer = bytearray(10)

    class Marker:
        pass

    marker = Marker()
    reference = weakref.ref(marker)

    async def receive(loop: EventLoop, marker: Marker) -> None:
        await loop.sock_recv_into(pair[0], buffer)

    coroutine: Any = receive(loop, marker)
    future = coroutine.send(None)
    future.add_done_callback(lambda _, coroutine=coroutine: None)
    del marker, coroutine, future
    gc.collect()
    assert reference() is not None, "the loop's watch keeps it"
    loop.close()
    del loop
    gc.collect()
    assert reference() is None

"""`add_reader` and its kin: level-triggered, replaceable, and with the errors of stock asyncio."""

import errno
import os
import socket
from asyncio import AbstractEventLoop

from ..support.loops import Errors, Pair, nothing, run_briefly, run_for


def test_a_reader_is_called_for_as_long_as_there_is_something_to_read(
    loop: AbstractEventLoop, pair: Pair
) -> None:
    left, right = pair
    got: list[bytes] = []

    def read(label: str) -> None:
        assert label == "argument"
        got.append(left.recv(1))
        if len(got) == 3:
            loop.stop()

    right.send(b"abc")
    loop.add_reader(left, read, "argument")
    loop.run_forever()
    run_for(loop)
    loop.remove_reader(left)
    assert got == [b"a", b"b", b"c"]


def test_a_writer_is_called_for_as_long_as_there_is_room(
    loop: AbstractEventLoop, pair: Pair
) -> None:
    left, right = pair
    written = 0

    def write() -> None:
        nonlocal written
        try:
            written += left.send(bytes(65536))
        except BlockingIOError:
            loop.stop()

    loop.add_writer(left.fileno(), write)
    run_for(loop)
    full = written
    run_for(loop)
    assert written == full > 0
    while full:
        full -= len(right.recv(1 << 20))
    run_for(loop)
    loop.remove_writer(left.fileno())
    assert written > full


def test_both_directions_of_an_fd_are_independent(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    calls: list[str] = []
    right.send(b"x")

    def writable() -> None:
        calls.append("writable")
        assert loop.remove_writer(left)

    def readable() -> None:
        calls.append("readable")
        if len(calls) > 3:
            loop.stop()

    loop.add_reader(left, readable)
    loop.add_writer(left, writable)
    loop.run_forever()
    assert loop.remove_reader(left)
    assert calls.count("writable") == 1
    assert calls.count("readable") >= 3


def test_a_new_reader_replaces_the_old_one(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    calls: list[str] = []
    right.send(b"x")
    loop.add_reader(left, calls.append, "old")
    loop.add_reader(left, lambda: (calls.append("new"), loop.stop()))
    loop.run_forever()
    assert loop.remove_reader(left) is True
    assert loop.remove_reader(left) is False
    assert set(calls) == {"new"}


def test_a_reader_can_be_replaced_while_it_is_already_due(
    loop: AbstractEventLoop, pair: Pair
) -> None:
    left, right = pair
    calls: list[str] = []
    right.send(b"x")

    def first() -> None:
        calls.append("first")
        loop.add_reader(left, second)

    def second() -> None:
        calls.append("second")
        loop.remove_reader(left)

    loop.add_reader(left, first)
    run_for(loop)
    assert calls == ["first", "second"]


def test_a_removed_reader_is_not_called_though_it_was_due(loop: AbstractEventLoop) -> None:
    """Both are ready in the same look; whichever runs first removes the other."""
    pairs = [socket.socketpair() for _ in range(2)]
    calls: list[int] = []

    def only(n: int) -> None:
        calls.append(n)
        for left, _ in pairs:
            loop.remove_reader(left)

    for n, (left, right) in enumerate(pairs):
        right.send(b"x")
        loop.add_reader(left, only, n)
    run_for(loop)
    for left, right in pairs:
        left.close()
        right.close()
    assert len(calls) == 1


def test_the_end_of_a_stream_is_readable(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    got: list[bytes] = []
    right.close()
    loop.add_reader(left, lambda: (got.append(left.recv(1)), loop.remove_reader(left)))
    run_for(loop)
    assert got == [b""]


def test_a_broken_pipe_is_writable(loop: AbstractEventLoop) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    failures: list[int | None] = []

    def write() -> None:
        loop.remove_writer(writer)
        try:
            os.write(writer, b"x")
        except BrokenPipeError as error:
            failures.append(error.errno)

    loop.add_writer(writer, write)
    run_for(loop)
    os.close(writer)
    assert failures == [errno.EPIPE]


def test_watches_outlive_a_run(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    got: list[bytes] = []
    loop.add_reader(left, lambda: got.append(left.recv(10)))
    run_briefly(loop)
    for n in range(3):
        right.send(bytes([n]))
        run_for(loop)
    assert loop.remove_reader(left)
    right.send(b"unheard")
    run_for(loop)
    assert got == [b"\0", b"\1", b"\2"]


def test_an_exception_in_a_reader_does_not_end_the_watch(
    loop: AbstractEventLoop, pair: Pair, errors: Errors
) -> None:
    left, right = pair
    right.send(b"ab")

    def read() -> None:
        if left.recv(1) == b"b":
            loop.stop()
        raise LookupError

    loop.add_reader(left, read)
    loop.run_forever()
    loop.remove_reader(left)
    assert [type(errors.pop()["exception"]) for _ in range(2)] == [LookupError] * 2


def test_hundreds_of_fds_are_all_served(loop: AbstractEventLoop) -> None:
    pairs = [socket.socketpair() for _ in range(300)]
    waiting = set(range(len(pairs)))

    def read(n: int) -> None:
        pairs[n][0].recv(1)
        waiting.discard(n)
        if not waiting:
            loop.stop()

    for n, (left, right) in enumerate(pairs):
        loop.add_reader(left, read, n)
        right.send(b"x")
    loop.run_forever()
    for left, right in pairs:
        assert loop.remove_reader(left)
        left.close()
        right.close()
    assert not waiting


def test_a_busy_fd_does_not_starve_another(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair
    reader, writer = os.pipe()
    served: list[str] = []
    right.send(b"never read")
    loop.add_reader(left, nothing)
    loop.add_reader(reader, lambda: (served.append("quiet one"), loop.stop()))
    loop.call_later(0.002, os.write, writer, b"x")
    loop.run_forever()
    loop.remove_reader(left)
    loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    assert served == ["quiet one"]

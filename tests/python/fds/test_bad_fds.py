"""File descriptors that are none, are closed too soon, or come back under the same number."""

import asyncio
import errno
import os
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..support.loops import EVERY_LOOP, OURS, LoopFactory, Pair, nothing, run_for


class WithFileno:
    def __init__(self, number: Any) -> None:
        self._number = number

    def fileno(self) -> Any:
        return self._number


BAD_FDS: dict[str, Any] = {
    "negative": -1,
    "text": "1",
    "float": 3.5,
    "none": None,
    "object": object(),
    "huge": 1 << 40,
    "unopened": 9_999,
    "negative fileno": WithFileno(-1),
    "fileno of text": WithFileno("x"),
}


def fd_failure(call: Callable[[], Any]) -> tuple[type[BaseException], tuple[Any, ...]] | None:
    try:
        call()
    except Exception as error:
        return type(error), tuple(str(arg).split(" object at ")[0] for arg in error.args)
    return None


@pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
@pytest.mark.parametrize("fd", BAD_FDS.values(), ids=BAD_FDS)
def test_a_bad_fd_fails_as_on_stock(
    qt_loop: AbstractEventLoop, stock_loop: AbstractEventLoop, method: str, fd: Any
) -> None:
    call = (nothing,) if method.startswith("add") else ()
    expected = fd_failure(lambda: getattr(stock_loop, method)(fd, *call))
    assert fd_failure(lambda: getattr(qt_loop, method)(fd, *call)) == expected
    assert expected is not None or method.startswith("remove")


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_a_closed_fd_is_refused(loop: AbstractEventLoop, method: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor") as raised:
        getattr(loop, method)(reader, nothing)
    assert raised.value.errno == errno.EBADF


def test_a_failed_watch_leaves_nothing_behind(loop: AbstractEventLoop) -> None:
    with suppress(OSError):
        loop.add_reader(9_999, nothing)
    assert loop.remove_reader(9_999) is False


def regular_file_outcome(factory: LoopFactory, path: Path) -> list[str]:
    calls: list[str] = []
    with path.open("w+") as file:
        loop = factory()
        try:
            loop.add_reader(file, lambda: (calls.append("readable"), loop.stop()))
            loop.run_forever()
        except PermissionError as error:
            calls.append(str(error))
        finally:
            loop.close()
    return calls


REFUSING_FILES = {name: make for name, make in EVERY_LOOP.items() if "notifier" not in name}
TAKING_FILES = {name: make for name, make in OURS.items() if "notifier" in name}


@pytest.mark.parametrize("factory", REFUSING_FILES.values(), ids=REFUSING_FILES.keys())
def test_epoll_refuses_a_regular_file(factory: LoopFactory, tmp_path: Path) -> None:
    assert regular_file_outcome(factory, tmp_path / "file") == ["[Errno 1] Operation not permitted"]


@pytest.mark.parametrize("factory", TAKING_FILES.values(), ids=TAKING_FILES.keys())
def test_a_notifier_finds_a_regular_file_always_ready(factory: LoopFactory, tmp_path: Path) -> None:
    """As poll(2) and select(2) do, and stock asyncio on a selector that uses them."""
    assert regular_file_outcome(factory, tmp_path / "file") == ["readable"]


#: Numbers that no other fd of the process has.
NUMBERS = (900, 901)


class Pipe:
    """A pipe whose reader has the number that is asked for."""

    def __init__(self, number: int, content: bytes = b"") -> None:
        reader, self._writer = os.pipe()
        os.dup2(reader, number)
        os.close(reader)
        self.reader = number
        os.write(self._writer, content)

    def read(self) -> bytes:
        return os.read(self.reader, 1)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)


def test_a_reused_number_is_a_new_fd(loop: AbstractEventLoop) -> None:
    """The watch was ended before the fd was closed, as asyncio asks for."""
    got: list[bytes] = []

    def read(pipe: Pipe) -> None:
        got.append(pipe.read())
        loop.stop()

    for n in range(20):
        pipe = Pipe(NUMBERS[0], bytes([n]))
        loop.add_reader(pipe.reader, read, pipe)
        loop.run_forever()
        assert loop.remove_reader(pipe.reader)
        pipe.close()
    assert got == [bytes([n]) for n in range(20)]


def test_a_number_reused_at_once_gets_nothing_of_its_predecessor(loop: AbstractEventLoop) -> None:
    """Two fds are ready together; the callback of one swaps the other for a pipe that is empty."""
    pipes = [Pipe(number, b"x") for number in NUMBERS]
    spurious: list[int] = []
    swaps: list[int] = []

    def swap(mine: int) -> None:
        swaps.append(mine)
        loop.remove_reader(NUMBERS[mine])
        other = 1 - mine
        loop.remove_reader(NUMBERS[other])
        pipes[other].close()
        pipes[other] = Pipe(NUMBERS[other])
        loop.add_reader(NUMBERS[other], spurious.append, other)

    for n, number in enumerate(NUMBERS):
        loop.add_reader(number, swap, n)
    run_for(loop)
    for pipe in pipes:
        loop.remove_reader(pipe.reader)
        pipe.close()
    assert len(swaps) == 1
    assert not spurious


def test_a_watch_of_an_fd_closed_too_soon_can_be_set_up_again(qt_loop: AbstractEventLoop) -> None:
    """Closed without `remove_reader`. On stock the successor with the same number would never be
    heard of."""
    pipe = Pipe(NUMBERS[0])
    qt_loop.add_reader(pipe.reader, nothing)
    run_for(qt_loop)
    pipe.close()
    pipe = Pipe(NUMBERS[0], b"x")
    got: list[bytes] = []
    qt_loop.add_reader(pipe.reader, lambda: (got.append(pipe.read()), qt_loop.stop()))
    guard = qt_loop.call_later(5, qt_loop.stop)
    qt_loop.run_forever()
    guard.cancel()
    qt_loop.remove_reader(pipe.reader)
    pipe.close()
    assert got == [b"x"]


def test_a_closed_loop_watches_nothing(loop_factory: LoopFactory, pair: Pair) -> None:
    left, _ = pair
    loop = loop_factory()
    loop.add_reader(left, nothing)
    loop.close()
    assert loop.remove_reader(left) is False
    assert loop.remove_writer(left) is False
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.add_reader(left, nothing)


async def test_the_fd_of_a_transport_is_off_limits(loop: AbstractEventLoop, pair: Pair) -> None:
    left, _ = pair
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
    for call in (
        lambda: loop.add_reader(left, nothing),
        lambda: loop.add_writer(left.fileno(), nothing),
        lambda: loop.remove_reader(left),
        lambda: loop.remove_writer(left),
    ):
        with pytest.raises(RuntimeError, match=r"^File descriptor .* is used by transport "):
            call()
    transport.close()


def test_a_watch_keeps_nothing_alive_once_removed(loop: AbstractEventLoop, pair: Pair) -> None:
    left, right = pair

    class Reader:
        def __call__(self) -> None: ...

    reader = Reader()
    reference = weakref.ref(reader)
    right.send(b"x")
    loop.add_reader(left, reader)
    run_for(loop)
    loop.remove_reader(left)
    del reader
    assert reference() is None

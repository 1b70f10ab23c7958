"""Tests of a Qt program. Run them by `python -m pytest examples/testing`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from search import Search, retrying


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    """A server that answers each line in capitals."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()


@pytest.fixture
async def window(address: tuple[str, int]) -> AsyncIterator[Search]:
    async def find(text: str) -> str:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(text.encode() + b"\n")
        answer = await reader.readline()
        writer.close()
        return answer.decode().strip()

    window = Search(find)
    window.show()
    yield window
    window.close()


async def test_it_finds_what_was_typed(window: Search) -> None:
    window.field.setText("h")
    window.field.setText("hello")
    while window.found.text() == "nothing yet":
        await asyncio.sleep(0.01)
    assert window.found.text() == "HELLO"


async def test_closing_the_window_does_not_end_the_test(window: Search) -> None:
    window.close()
    await asyncio.sleep(0.01)
    assert not window.isVisible()


@pytest.mark.qtloop
def test_a_plain_test_may_use_pytest_qt(window: Search, qtbot: Any) -> None:
    qtbot.keyClicks(window.field, "hello")
    qtbot.waitUntil(lambda: window.found.text() == "HELLO")


async def test_an_error_in_the_slot(window: Search, qtloop_errors: list[dict[str, Any]]) -> None:
    async def fail(text: str) -> str:
        raise LookupError(text)

    window._find = fail
    window.field.setText("atlantis")
    while not qtloop_errors:
        await asyncio.sleep(0.01)
    assert str(qtloop_errors.pop()["exception"]) == "atlantis"


@pytest.mark.qtloop(simulated=True)
async def test_it_tries_for_an_hour_which_takes_no_time() -> None:
    attempts: list[float] = []

    async def call() -> str:
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 12:
            raise ConnectionError
        return "at last"

    assert await retrying(call, 12) == "at last"
    assert attempts[:4] == [0, 1, 3, 7] and attempts[-1] == 2047

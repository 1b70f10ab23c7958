"""Chapter 6: tests. `python -m pytest examples/tutorial`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import chapter5
import pytest
from PyQt6.QtWidgets import QApplication

import qtloop

pytestmark = pytest.mark.qtloop


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that says hello."""

    async def greet(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def window(tmp_path: Path, port: int) -> AsyncIterator[chapter5.Window]:
    window = chapter5.Window(tmp_path / "ports.txt")
    window.first.setValue(port)
    window.last.setValue(port)
    window.show()
    yield window
    window.setWindowModified(False)
    window.close()
    window.deleteLater()


def found(window: chapter5.Window) -> list[str]:
    return [window.found.item(row).text() for row in range(window.found.count())]


async def test_a_scan_finds_it(window: chapter5.Window, port: int) -> None:
    await window.run_scan()
    assert found(window) == [f"{port} hello", "done"]
    assert window.bar.value() == window.bar.maximum() == 1


async def test_a_scan_can_be_stopped(window: chapter5.Window) -> None:
    scan = window.run_scan()
    window.stop.click()
    await scan
    assert found(window) == ["stopped"]
    assert window.start.isEnabled()


@pytest.mark.parametrize("name", ["Save", "Discard"])
async def test_it_asks_and_saves(window: chapter5.Window, port: int, name: str) -> None:
    await window.run_scan()
    window.close()
    await asyncio.sleep(0)  # The coroutine has begun, and asks.
    box = QApplication.activeModalWidget()
    answered = qtloop.emitted(box.destroyed)
    box.button(chapter5.Button[name]).click()
    await answered
    while window.isVisible():
        await asyncio.sleep(0)
    if name == "Save":
        assert window.path.read_text() == f"{port} hello\ndone\n"
    else:
        assert not window.path.exists()

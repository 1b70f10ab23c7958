"""Runs a program of the tutorial, and plays its user: `play_tutorial.py PROGRAM [ARGUMENT]`.

The programs themselves have nothing in them for that. What the user sees is printed.
"""

import asyncio
import os
import runpy
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import qtloop

run = qtloop.run


def widgets() -> Any:
    return next(m for name, m in sys.modules.items() if name in NAMES)


NAMES = ("PyQt6.QtWidgets", "PySide6.QtWidgets")


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def dialog() -> Any:
    """The dialog that is open, or is about to be."""
    await until(widgets().QApplication.activeModalWidget)
    return widgets().QApplication.activeModalWidget()


def texts(items: Any) -> list[str]:
    return [items.item(row).text() for row in range(items.count())]


#: Somebody has come to the listener that says nothing.
visited = asyncio.Event()


async def listener(greeting: bytes | None) -> tuple[asyncio.Server, int]:
    """A server that says this, or nothing and keeps its visitors."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting is None:
            visited.set()
            await reader.read()
        else:
            writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def chapter1(window: Any) -> None:
    print(window.text())
    await until(lambda: window.text().startswith("Open for "))
    print("it counts")
    window.close()


async def chapter2(window: Any) -> None:
    server, port = await listener(b"")
    for state in "open", "closed":
        window.port.setValue(port)
        window.button.click()
        assert window.answer.text() == f"{port}: trying..."
        window.button.click()
        await until(lambda: window.answer.text() != f"{port}: trying...")
        assert window.answer.text() == f"{port}: {state}"
        print(state)
        server.close()
    window.close()


async def chapter3(window: Any) -> None:
    window.add.click()
    box = await dialog()
    box.setTextValue("localhost")
    box.accept()
    await until(lambda: window.hosts.count() == 2)
    print(texts(window.hosts))
    window.hosts.setCurrentRow(1)
    await until(lambda: window.log.count() == 2)
    window.remove.click()
    box = await dialog()
    print(box.text())
    box.button(widgets().QMessageBox.StandardButton.Yes).click()
    await until(lambda: window.hosts.count() == 1)
    await until(lambda: window.log.count() == 3)
    print(texts(window.hosts), texts(window.log))
    window.close()


async def chapter4(window: Any) -> None:
    server, port = await listener(b"hello\r\n")
    window.first.setValue(port)
    window.last.setValue(port)
    window.start.click()
    assert window.stop.isEnabled() and not window.start.isEnabled()
    await until(window.start.isEnabled)
    print([text.replace(str(port), "PORT") for text in texts(window.found)], window.bar.value())
    silent, port = await listener(None)
    window.first.setValue(port)
    window.last.setValue(port)
    window.start.click()
    await visited.wait()
    window.stop.click()
    await until(window.start.isEnabled)
    print(texts(window.found), window.bar.value())
    silent.close()
    server.close()
    window.close()


async def chapter5(window: Any) -> None:
    button = widgets().QMessageBox.StandardButton
    server, port = await listener(b"hello\r\n")
    window.first.setValue(port)
    window.last.setValue(port)
    window.start.click()
    await until(window.start.isEnabled)
    for choice in button.Cancel, button.Save:
        window.close()
        box = await dialog()
        print(box.text(), choice.name)
        answered = qtloop.emitted(box.destroyed)
        box.button(choice).click()
        await answered
        if choice == button.Cancel:
            print("open" if window.isVisible() else "closed", window.path.exists())
    server.close()
    await asyncio.Event().wait()  # The last window closes, which cancels this.


def with_user(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    """`qtloop.run`, with a user beside `main`."""
    play: Callable[[Any], Awaitable[None]] = globals()[Path(sys.argv[0]).stem]

    async def user() -> None:
        try:
            await until(widgets().QApplication.topLevelWidgets)
            [window] = [w for w in widgets().QApplication.topLevelWidgets() if w.isVisible()]
            await asyncio.sleep(0)  # No user is quicker than the tasks of `main`.
            await play(window)
        except Exception:
            traceback.print_exc()
            os._exit(1)

    async def both() -> Any:
        playing = asyncio.create_task(user())
        try:
            return await main
        finally:
            playing.cancel()

    return run(both(), **options)


if __name__ == "__main__":
    qtloop.run = with_user
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")

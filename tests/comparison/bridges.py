"""How a program uses each bridge, as its documentation says."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from importlib import metadata
from typing import Any

from PySide6 import QtWidgets


class Lacks(Exception):
    """The bridge offers nothing of the kind. The text says what there is instead."""


class Bridge:
    """One bridge. What a method raises `Lacks` for is not there."""

    name: str
    #: The distribution whose version is told.
    package: str

    def version(self) -> str:
        return metadata.version(self.package)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """The bridge's `asyncio.run`, in a process with a QApplication."""
        raise NotImplementedError

    def carried(self, app: QtWidgets.QApplication) -> contextlib.AbstractContextManager[Any]:
        """Inside it asyncio works, and the program itself calls `app.exec()`."""
        raise Lacks("its `run` calls `exec()`")

    def decorated(self, method: Callable[[Any], Coroutine[Any, Any, None]]) -> Any:
        """An async method of a QObject's class as one that can be a slot."""
        raise Lacks("it has no such function")

    def slot(self, method: Callable[[], Any]) -> Callable[..., Any]:
        """What is connected to a signal so that the decorated method of an object is called."""
        return method

    async def emission(self, signal: Any) -> Any:
        """Awaits the next emission of a signal."""
        raise Lacks("it has no such function")

    async def modal(self, dialog: QtWidgets.QDialog) -> Any:
        """Shows a modal dialog by the means that the bridge offers for that."""
        raise Lacks("it has no such function")


class Qtloop(Bridge):
    name = package = "qtloop"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        import qtloop

        return qtloop.run(main)

    def carried(self, app: QtWidgets.QApplication) -> contextlib.AbstractContextManager[Any]:
        import qtloop

        return qtloop.attach()

    def decorated(self, method: Callable[[Any], Coroutine[Any, Any, None]]) -> Any:
        import qtloop

        return qtloop.slot(method)

    async def emission(self, signal: Any) -> Any:
        import qtloop

        return await qtloop.emitted(signal)

    async def modal(self, dialog: QtWidgets.QDialog) -> Any:
        import qtloop

        return await qtloop.opened(dialog)


class Qasync(Bridge):
    name = package = "qasync"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        import qasync

        with asyncio.Runner(loop_factory=qasync.QEventLoop) as runner:
            return runner.run(main)

    @contextlib.contextmanager
    def carried(self, app: QtWidgets.QApplication) -> Iterator[None]:
        import qasync

        loop = qasync.QEventLoop(app, already_running=True)
        asyncio.set_event_loop(loop)
        with loop:
            yield

    def decorated(self, method: Callable[[Any], Coroutine[Any, Any, None]]) -> Any:
        import qasync

        return qasync.asyncSlot()(method)

    async def modal(self, dialog: QtWidgets.QDialog) -> Any:
        import qasync

        return await qasync.asyncWrap(dialog.exec)


class QtAsyncio(Bridge):
    name = "QtAsyncio"
    package = "PySide6"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        from PySide6 import QtAsyncio

        return QtAsyncio.run(main, keep_running=False, handle_sigint=True)


class Qtinter(Bridge):
    name = package = "qtinter"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        import qtinter

        with qtinter.using_qt_from_asyncio():
            return asyncio.run(main)

    def carried(self, app: QtWidgets.QApplication) -> contextlib.AbstractContextManager[Any]:
        import qtinter

        manager: contextlib.AbstractContextManager[Any] = qtinter.using_asyncio_from_qt()
        return manager

    def decorated(self, method: Callable[[Any], Coroutine[Any, Any, None]]) -> Any:
        return method

    def slot(self, method: Callable[[], Any]) -> Callable[..., Any]:
        import qtinter

        slot: Callable[..., Any] = qtinter.asyncslot(method)
        return slot

    async def emission(self, signal: Any) -> Any:
        import qtinter

        return await qtinter.asyncsignal(signal)

    async def modal(self, dialog: QtWidgets.QDialog) -> Any:
        import qtinter

        return await qtinter.modal(dialog.exec)()


BRIDGES: dict[str, Bridge] = {
    bridge.name: bridge for bridge in (Qtloop(), Qasync(), QtAsyncio(), Qtinter())
}

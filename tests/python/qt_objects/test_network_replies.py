"""Replies of QNetworkAccessManager are awaited, from a server in the same loop."""

import asyncio
import contextlib
import gc
import importlib
import socket
import weakref
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from qtloop import _qt
from qtloop._completed import QtError, SenderDestroyed
from qtloop._finished import finished

from ..support.loops import qt_core
from ..support.objects import delete, delete_later

qt_network: Any = importlib.import_module(f"{_qt.binding()}.QtNetwork")

BODIES = {"/": b"hello", "/large": b"x" * 1_000_000}


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    """A server's address. It answers what is in BODIES; "/never" it does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = asyncio.ensure_future(serve(listener))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving


async def serve(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as answers:

        def accept() -> None:
            connection, _ = listener.accept()
            answers.create_task(answer(connection))

        loop.add_reader(listener, accept)
        try:
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(listener)


async def answer(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    # Qt opens connections that it turns out not to need, and drops others in the middle.
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            if path == "/never":
                await reader.read()
            body = BODIES.get(path, b"what is that?")
            status = b"200 OK" if path in BODIES else b"404 Not Found"
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
                status,
                len(body),
            )
            writer.write(head + body)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            await writer.wait_closed()


def request(url: str) -> Any:
    return qt_network.QNetworkRequest(qt_core.QUrl(url))


@pytest.fixture
def manager() -> Any:
    manager = qt_network.QNetworkAccessManager()
    manager.setProxy(qt_network.QNetworkProxy(qt_network.QNetworkProxy.ProxyType.NoProxy))
    return manager


async def until_waiting(awaitable: Any) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return task


async def test_a_reply_is_awaited_and_read(qt_loop: AbstractEventLoop, manager: Any) -> None:
    async with served() as url:
        for path, body in BODIES.items():
            reply = manager.get(request(url + path))
            assert await finished(reply) is reply
            assert bytes(reply.readAll()) == body


async def test_a_reply_that_has_finished_is_given_at_once(
    qt_loop: AbstractEventLoop, manager: Any
) -> None:
    async with served() as url:
        reply = await finished(manager.get(request(url)))
        assert await finished(reply) is reply
        assert bytes(reply.readAll()) == b"hello"


async def test_replies_are_awaited_side_by_side(qt_loop: AbstractEventLoop, manager: Any) -> None:
    async with served() as url:
        replies = await asyncio.gather(*(finished(manager.get(request(url))) for _ in range(10)))
        assert [bytes(reply.readAll()) for reply in replies] == [b"hello"] * 10


async def test_an_error_of_http_raises_and_its_body_can_be_read(
    qt_loop: AbstractEventLoop, manager: Any
) -> None:
    async with served() as url:
        with pytest.raises(QtError, match="Not Found") as failure:
            await finished(manager.get(request(url + "/elsewhere")))
        assert failure.value.code == qt_network.QNetworkReply.NetworkError.ContentNotFoundError
        assert bytes(failure.value.source.readAll()) == b"what is that?"


async def test_a_server_that_is_not_there_raises(qt_loop: AbstractEventLoop, manager: Any) -> None:
    async with served() as url:
        pass
    with pytest.raises(QtError) as failure:
        await finished(manager.get(request(url)))
    assert failure.value.code == qt_network.QNetworkReply.NetworkError.ConnectionRefusedError
    assert str(failure.value) == failure.value.source.errorString()


async def test_a_cancelled_request_is_aborted(qt_loop: AbstractEventLoop, manager: Any) -> None:
    async with served() as url:
        reply = manager.get(request(url + "/never"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await finished(reply)
        assert reply.error() == qt_network.QNetworkReply.NetworkError.OperationCanceledError


async def test_a_request_that_somebody_aborts_raises(
    qt_loop: AbstractEventLoop, manager: Any
) -> None:
    async with served() as url:
        reply = manager.get(request(url + "/never"))
        qt_loop.call_later(0.01, reply.abort)
        with pytest.raises(QtError) as failure:
            await finished(reply)
        assert failure.value.code == qt_network.QNetworkReply.NetworkError.OperationCanceledError


@pytest.mark.parametrize("whose", ["its own", "its manager's"])
@pytest.mark.parametrize("deletion", [delete, delete_later])
async def test_a_reply_that_is_destroyed_raises(
    qt_loop: AbstractEventLoop, manager: Any, whose: str, deletion: Callable[[Any], None]
) -> None:
    async with served() as url:
        reply = manager.get(request(url + "/never"))
        task = await until_waiting(finished(reply))
        deletion(reply if whose == "its own" else manager)
        with pytest.raises(SenderDestroyed, match="was destroyed while it was awaited"):
            await task


async def test_the_reply_and_the_task_die_after_use(
    qt_loop: AbstractEventLoop, manager: Any
) -> None:
    async def use(url: str) -> list[weakref.ref[Any]]:
        task = asyncio.ensure_future(finished(manager.get(request(url))))
        reply = await task
        reply.deleteLater()
        return [weakref.ref(reply), weakref.ref(task)]

    async with served() as url:
        weak = await use(url)
        await asyncio.sleep(0.001)
        gc.collect()
        assert [reference() for reference in weak] == [None, None]

"""`loop.sock_connect`: what it raises, when others run meanwhile, and what stays behind."""

import asyncio
import errno
import os
import socket
import ssl
import sys
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support import child
from ..support.loops import LoopFactory, opened


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.setblocking(False)
        yield client


@pytest.fixture
def unanswered() -> Iterator[tuple[str, int]]:
    """An address at which a connection stays on its way: nobody accepts, and there is no room."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


async def failure(awaitable: Any) -> tuple[type[BaseException], tuple[Any, ...]]:
    try:
        await awaitable
    except Exception as error:
        return type(error), error.args
    raise AssertionError("it did not fail")


async def test_it_returns_none_and_leaves_no_watch(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    assert await loop.sock_connect(client, listener.getsockname()) is None  # type: ignore[func-returns-value]
    assert client.getpeername() == listener.getsockname()
    assert not loop.remove_writer(client)


async def test_others_run_before_a_connection_is_there(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    ran: list[str] = []
    loop.call_soon(ran.append, "other")
    await loop.sock_connect(client, listener.getsockname())
    assert ran == ["other"]


async def test_nothing_happens_before_it_is_awaited(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    connecting = loop.sock_connect(client, listener.getsockname())
    with pytest.raises(OSError):
        client.getpeername()
    assert asyncio.iscoroutine(connecting)
    await connecting


async def test_a_refusal_names_the_address(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    address = listener.getsockname()
    listener.close()
    message = f"Connect call failed {address}"
    refused = (ConnectionRefusedError, (errno.ECONNREFUSED, message))
    assert await failure(loop.sock_connect(client, address)) == refused
    assert not loop.remove_writer(client)


@pytest.mark.parametrize("length", [2, 3, 4])
async def test_an_address_of_ipv6_is_completed(loop: AbstractEventLoop, length: int) -> None:
    with socket.socket(socket.AF_INET6) as closed:
        closed.bind(("::1", 0))
        address = closed.getsockname()
    with socket.socket(socket.AF_INET6) as client:
        client.setblocking(False)
        _, (_, message) = await failure(loop.sock_connect(client, address[:length]))
    assert message == f"Connect call failed {address}"


@pytest.mark.parametrize(
    "address",
    [
        ("127.0.0.1", 1 << 17),
        ("127.0.0.1", -1),
        ("127.0.0.1",),
        ("127.0.0.1", 1, 2, 3, 4),
        "127.0.0.1",
        None,
        ("127.0.0.1", None),
        (None, 80),
        (b"256.0.0.1", 80),
        ("::1", 80),
    ],
)
async def test_a_strange_address_fails_as_ever(
    loop: AbstractEventLoop, stock_failures: Any, address: Any
) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        assert await failure(loop.sock_connect(client, address)) == stock_failures(address)


@pytest.fixture
def stock_failures() -> Any:
    """How the stock loop fails, which runs in a thread of its own."""

    def ask(address: Any) -> Any:
        import threading

        outcome: list[Any] = []

        async def main() -> None:
            with socket.socket() as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                outcome.append(await failure(loop.sock_connect(client, address)))

        def run() -> None:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(main())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return outcome[0]

    return ask


@pytest.mark.parametrize("host", ["qtloop.invalid", "fe80::1%lo"])
def test_an_own_getaddrinfo_is_asked(
    loop_factory: LoopFactory, listener: socket.socket, host: str
) -> None:
    asked: list[Any] = []
    target = listener.getsockname()
    base: Any = type(_made(loop_factory))

    class Own(base):  # type: ignore[misc]
        async def getaddrinfo(self, name: Any, port: Any, **options: Any) -> Any:
            asked.append((name, port, options["family"], options["type"]))
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", target)]

    async def main(loop: Any) -> None:
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, (host, 7))
            assert client.getpeername() == target

    with opened(Own) as loop:
        loop.run_until_complete(main(loop))
    assert asked == [(host, 7, socket.AF_INET, socket.SOCK_STREAM)]


def _made(factory: LoopFactory) -> AbstractEventLoop:
    with opened(factory) as loop:
        return loop


async def test_a_blocking_socket_is_refused_in_debug_mode(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    loop.set_debug(True)
    with socket.socket() as client:
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await loop.sock_connect(client, listener.getsockname())
        client.settimeout(5)
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await loop.sock_connect(client, ("localhost", 1))


async def test_a_socket_with_a_timeout_waits_by_itself(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    loop.set_debug(False)
    with socket.socket() as client:
        client.settimeout(5)
        await loop.sock_connect(client, listener.getsockname())
        assert client.getpeername() == listener.getsockname()


async def test_an_ssl_socket_is_refused(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    wrapped = context.wrap_socket(client, do_handshake_on_connect=False)
    with wrapped, pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
        await loop.sock_connect(wrapped, listener.getsockname())


async def test_a_closed_socket_is_a_bad_descriptor(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    client.close()
    bad = (OSError, (errno.EBADF, os.strerror(errno.EBADF)))
    assert await failure(loop.sock_connect(client, listener.getsockname())) == bad


async def test_a_second_connection_is_refused(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    await loop.sock_connect(client, listener.getsockname())
    # Linux says so only once it has been asked about the first.
    await loop.sock_connect(client, listener.getsockname())
    connected = (OSError, (errno.EISCONN, os.strerror(errno.EISCONN)))
    assert await failure(loop.sock_connect(client, listener.getsockname())) == connected


async def test_the_socket_of_a_transport_is_connected_already(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    for _ in range(2):
        await loop.sock_connect(client, listener.getsockname())
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=client)
    assert (await failure(loop.sock_connect(client, listener.getsockname())))[0] is OSError
    transport.abort()


async def test_a_cancelled_connection_leaves_no_watch(
    loop: AbstractEventLoop, client: socket.socket, unanswered: tuple[str, int]
) -> None:
    connecting = asyncio.ensure_future(loop.sock_connect(client, unanswered))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not connecting.done()
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    assert not loop.remove_writer(client)


async def test_a_cancelled_connection_that_is_there_is_cancelled_all_the_same(
    loop: AbstractEventLoop, client: socket.socket, listener: socket.socket
) -> None:
    connecting = asyncio.ensure_future(loop.sock_connect(client, listener.getsockname()))
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert not loop.remove_writer(client)


async def test_a_path_is_connected(loop: AbstractEventLoop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "there"))
        listener.listen()
        client.setblocking(False)
        await loop.sock_connect(client, str(tmp_path / "there"))
        assert client.getpeername() == str(tmp_path / "there")


async def test_a_missing_path_is_not_found(loop: AbstractEventLoop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        with pytest.raises(FileNotFoundError):
            await loop.sock_connect(client, str(tmp_path / "nobody"))


async def test_a_datagram_socket_is_connected_at_once(loop: AbstractEventLoop) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as peer,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        peer.bind(("127.0.0.1", 0))
        client.setblocking(False)
        await loop.sock_connect(client, peer.getsockname())
        assert client.getpeername() == peer.getsockname()


class Logging(socket.socket):
    """A socket that says what is asked of it."""

    asked: list[str]

    def connect(self, address: Any) -> None:
        self.asked.append("connect")
        super().connect(address)

    def getsockopt(self, *args: Any) -> Any:
        self.asked.append("getsockopt")
        return super().getsockopt(*args)


async def test_methods_of_a_subclass_are_called(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    with Logging() as client:
        client.asked = []
        client.setblocking(False)
        await loop.sock_connect(client, listener.getsockname())
        assert client.asked == ["connect", "getsockopt"]


async def test_what_is_put_in_place_of_connect_is_called(
    loop: AbstractEventLoop, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: socket.socket, address: Any) -> None:
        raise PermissionError(f"not {address[1]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    port = listener.getsockname()[1]
    with socket.socket() as client:
        client.setblocking(False)
        with pytest.raises(PermissionError, match=f"not {port}"):
            await loop.sock_connect(client, listener.getsockname())
    with pytest.raises(PermissionError, match=f"not {port}"):
        await asyncio.open_connection(*listener.getsockname())


#: Hooks cannot be taken back: what is to be heard of, by the test that is running.
_heard: list[Any] = []
_is_hooked = False


def _hear(event: str, args: Any) -> None:
    if event == "socket.connect":
        _heard.append(args[1])


async def test_audit_hooks_hear_of_it(
    loop: AbstractEventLoop, listener: socket.socket, client: socket.socket
) -> None:
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hear)
        _is_hooked = True
    _heard.clear()
    await loop.sock_connect(client, listener.getsockname())
    assert _heard == [listener.getsockname()]


@pytest.mark.parametrize("make", ["qtloop.EventLoop()", "asyncio.SelectorEventLoop()"])
def test_a_class_that_takes_the_place_of_pythons_has_its_own_methods(make: str) -> None:
    """As a library does that leads all connections through a proxy."""
    outcome = child.run_bare(f"""
        import asyncio, socket
        import qtloop

        class Proxied(socket.socket):
            def connect(self, address):
                print("connect")
                return super().connect(address)

            def recv(self, size):
                print("recv")
                return super().recv(size)

        plain, socket.socket = socket.socket, Proxied
        listener = plain()
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        async def main():
            loop = asyncio.get_running_loop()
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            peer, _ = listener.accept()
            peer.send(b"x")
            print(await loop.sock_recv(client, 1))
            client.close()
            peer.close()

        loop = {make}
        loop.run_until_complete(main())
        loop.close()
        listener.close()
    """)
    assert outcome.code == 0, outcome.err
    words = outcome.out.split()
    assert words[0] == "connect" and words[-1] == "b'x'" and "recv" in words

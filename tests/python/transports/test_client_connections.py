"""`create_connection`: which of the loop's methods are asked, how it fails, and how it ends when it
is cancelled."""

import asyncio
import contextvars
import errno
import gc
import re
import socket
import sys
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from typing import Any

import pytest

from ..support import child
from ..support.loops import Errors, LoopFactory, opened

Address = tuple[str, int]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def unanswered() -> Iterator[Address]:
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


class Recording(asyncio.Protocol):
    """Notes what happens, in which order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(error)


async def failure(awaitable: Any) -> tuple[type[BaseException], tuple[Any, ...]]:
    try:
        await awaitable
    except Exception as error:
        return type(error), error.args
    raise AssertionError("it did not fail")


async def test_the_protocol_knows_before_the_caller_does(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    transport, protocol = await loop.create_connection(Recording, *listener.getsockname())
    assert protocol.calls == ["made"]
    assert protocol.transport is transport
    assert transport.is_reading()
    assert transport.get_extra_info("peername") == listener.getsockname()
    assert transport.get_extra_info("sslcontext") is None
    assert transport.get_extra_info("nothing", 7) == 7
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert sock.proto == socket.IPPROTO_TCP
    transport.close()
    assert await protocol.lost is None
    assert transport.get_extra_info("peername") == listener.getsockname()


async def test_a_ready_socket_is_taken(loop: AbstractEventLoop, listener: socket.socket) -> None:
    sock = socket.create_connection(listener.getsockname())
    transport, protocol = await loop.create_connection(Recording, sock=sock)
    assert sock.gettimeout() == 0
    assert transport.get_extra_info("sockname") == sock.getsockname()
    # It was not made as TCP's by name.
    transport.close()
    await protocol.lost
    assert sock.fileno() == -1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"127.0.0.1"])
async def test_a_refusal_is_raised_as_it_is(
    loop: AbstractEventLoop, closed_port: int, host: Any
) -> None:
    options = {"family": socket.AF_INET} if host == "localhost" else {}
    connecting = loop.create_connection(Recording, host, closed_port, **options)
    message = f"Connect call failed ('127.0.0.1', {closed_port})"
    assert await failure(connecting) == (
        ConnectionRefusedError,
        (errno.ECONNREFUSED, message),
    )


async def test_a_refusal_has_no_context(loop: AbstractEventLoop, closed_port: int) -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await loop.create_connection(Recording, "127.0.0.1", closed_port)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
async def test_all_errors_are_a_group(loop: AbstractEventLoop, closed_port: int) -> None:
    with pytest.raises(ExceptionGroup, match="create_connection failed") as caught:
        await loop.create_connection(Recording, "127.0.0.1", closed_port, all_errors=True)
    (error,) = caught.value.exceptions
    assert isinstance(error, ConnectionRefusedError)


def test_refusals_of_several_addresses_are_joined(
    loop_factory: LoopFactory, closed_port: int
) -> None:
    base: Any = _class_of(loop_factory)

    class Own(base):  # type: ignore[misc]
        async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
            assert (host, options["type"]) == ("qtloop.invalid", socket.SOCK_STREAM)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, closed_port))
                for host in ("127.0.0.1", "127.0.0.2")
            ]

    async def main(loop: Any) -> None:
        kind, (message,) = await failure(loop.create_connection(Recording, "qtloop.invalid", 1))
        assert kind is OSError
        assert message.startswith("Multiple exceptions: [Errno ")
        assert "('127.0.0.1'," in message and "('127.0.0.2'," in message

    _run(Own, main)


def _class_of(factory: LoopFactory) -> type[AbstractEventLoop]:
    with opened(factory) as loop:
        return type(loop)


def _run(factory: Any, main: Any) -> None:
    with opened(factory) as loop:
        loop.run_until_complete(main(loop))


@pytest.mark.parametrize(
    "name",
    [
        "sock_connect",
        "_ensure_resolved",
        "_connect_sock",
        "_create_connection_transport",
        "_make_socket_transport",
    ],
)
@pytest.mark.parametrize("where", ["class", "loop"])
def test_a_method_of_a_subclass_is_called(
    loop_factory: LoopFactory, listener: socket.socket, name: str, where: str
) -> None:
    called: list[str] = []
    base: Any = _class_of(loop_factory)
    stock = getattr(base, name)

    def own(this: Any, *args: Any, **options: Any) -> Any:
        called.append(name)
        return stock(this, *args, **options)

    async def main(loop: Any) -> None:
        if where == "loop":
            setattr(loop, name, lambda *args, **options: own(loop, *args, **options))
        transport, _ = await loop.create_connection(Recording, *listener.getsockname())
        transport.close()
        await asyncio.sleep(0)

    made: Any = type("Own", (base,), {name: own} if where == "class" else {})
    with opened(made) as loop:
        loop.run_until_complete(main(loop))
    assert called
    assert set(called) == {name}


async def test_the_peer_of_no_particular_address(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    """It is asked of the system, and still known when the connection is lost."""
    port = listener.getsockname()[1]
    transport, protocol = await loop.create_connection(Recording, "0.0.0.0", port)
    transport.close()
    await protocol.lost
    assert transport.get_extra_info("peername") == ("127.0.0.1", port)
    assert transport.get_extra_info("sockname")[0] == "127.0.0.1"


BARE = """
import gc, socket

def numbers():
    return [thing.fileno() for thing in gc.get_objects() if isinstance(thing, socket.socket)]

async def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        number = transport._sock_fd
        assert number not in numbers()
        assert transport.get_extra_info("socket").fileno() == number
        assert number in numbers()
        transport.close()
        await asyncio.sleep(0)
        assert transport.get_extra_info("socket").fileno() == -1

asyncio.Runner(loop_factory=qtloop.EventLoop).run(main())
print("made")
"""


def test_no_socket_object_is_made_before_it_is_asked_for(name: str) -> None:
    """In a process of its own: another test's audit hook would need the object."""
    outcome = child.run(BARE, name)
    assert outcome.out == "made\n", outcome.err


HOOKED = """
import socket
seen = []

def hear(event, args):
    if event.startswith("socket."):
        seen.append((event, args))

sys.addaudithook(hear)

async def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        del seen[:]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        assert [event for event, _ in seen] == ["socket.__new__", "socket.connect"], seen
        assert type(seen[1][1][0]) is socket.socket
        assert seen[1][1][1] == address
        transport.close()
        await asyncio.sleep(0)

asyncio.Runner(loop_factory=MAKE).run(main())
print("told")
"""


@pytest.mark.parametrize("make", ["asyncio.SelectorEventLoop", "qtloop.EventLoop"])
def test_audit_hooks_are_told_as_by_asyncio(make: str) -> None:
    outcome = child.run(HOOKED.replace("MAKE", make))
    assert outcome.out == "told\n", outcome.err


async def test_an_exception_of_the_end_is_reported_as_its_callback_s(
    loop: AbstractEventLoop, listener: socket.socket, errors: Errors
) -> None:
    class Failing(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            raise LookupError("at the end")

    transport, _ = await loop.create_connection(Failing, *listener.getsockname())
    transport.close()
    await asyncio.sleep(0)
    [report] = errors
    errors.clear()
    assert re.fullmatch(
        r"Exception in callback \w+\._call_connection_lost\((None)?\)", report["message"]
    )
    assert type(report["exception"]) is LookupError
    assert isinstance(report["handle"], asyncio.Handle)
    assert transport.get_protocol() is None


async def test_a_class_in_place_of_sockets_is_used(
    loop: AbstractEventLoop, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Guarded(socket.socket):
        def __init__(self, *args: Any, **options: Any) -> None:
            raise PermissionError("no sockets here")

    monkeypatch.setattr(socket, "socket", Guarded)
    with pytest.raises(PermissionError, match="no sockets here"):
        await loop.create_connection(Recording, *listener.getsockname())


@pytest.mark.parametrize(
    "options",
    [
        {"server_hostname": "somebody"},
        {"ssl": True, "host": None},
        {"ssl_handshake_timeout": 1},
        {"ssl_shutdown_timeout": 1},
        {"host": None, "port": None},
        {"sock": "given"},
        {"host": None, "port": None, "sock": "datagram"},
        {"no_such_option": 1},
    ],
)
async def test_options_that_do_not_go_together(
    loop: AbstractEventLoop, listener: socket.socket, options: dict[str, Any]
) -> None:
    expected = {
        "server_hostname": (ValueError, "server_hostname is only meaningful with ssl"),
        "ssl": (ValueError, "You must set server_hostname when using ssl without a host"),
        "ssl_handshake_timeout": (
            ValueError,
            "ssl_handshake_timeout is only meaningful with ssl",
        ),
        "ssl_shutdown_timeout": (ValueError, "ssl_shutdown_timeout is only meaningful with ssl"),
        "no_such_option": (TypeError, "got an unexpected keyword argument 'no_such_option'"),
    }
    host, port = listener.getsockname()
    given: dict[str, Any] = {"host": host, "port": port, **options}
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        kind, message = next(
            (expected[name] for name in options if name in expected),
            (ValueError, "host and port was not specified and no sock specified"),
        )
        if options.get("sock") == "given":
            given["sock"] = stream
            message = "host/port and sock can not be specified at the same time"
        elif options.get("sock") == "datagram":
            given["sock"] = datagram
            message = f"A Stream Socket was expected, got {datagram!r}"
        with pytest.raises(kind) as caught:
            await loop.create_connection(Recording, **given)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"local_addr": ("127.0.0.1", 0)},
        {"happy_eyeballs_delay": 0.25},
        {"interleave": 1},
        {"family": socket.AF_INET},
        {"proto": socket.IPPROTO_TCP},
        {"flags": socket.AI_NUMERICHOST},
    ],
)
async def test_options_take_the_long_way(
    loop: AbstractEventLoop, listener: socket.socket, options: dict[str, Any]
) -> None:
    host, port = listener.getsockname()
    transport, protocol = await loop.create_connection(Recording, host, port, **options)
    assert transport.get_extra_info("peername") == (host, port)
    transport.close()
    await protocol.lost


async def test_a_port_may_be_text_or_a_service(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    host, port = listener.getsockname()
    transport, protocol = await loop.create_connection(Recording, host, str(port))
    assert transport.get_extra_info("peername") == (host, port)
    transport.close()
    await protocol.lost


async def test_ipv6(loop: AbstractEventLoop) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        address = listener.getsockname()
        transport, protocol = await loop.create_connection(Recording, *address[:2])
        assert transport.get_extra_info("peername") == address
        transport.close()
        await protocol.lost


@pytest.mark.parametrize("host", ["fe80::1%lo", "qtloop.invalid"])
def test_what_is_no_number_is_looked_up(
    loop_factory: LoopFactory, listener: socket.socket, host: str
) -> None:
    base: Any = _class_of(loop_factory)

    class Own(base):  # type: ignore[misc]
        async def getaddrinfo(self, name: Any, port: Any, **options: Any) -> Any:
            assert (name, port) == (host, 7)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())]

    async def main(loop: Any) -> None:
        transport, protocol = await loop.create_connection(Recording, host, 7)
        assert transport.get_extra_info("peername") == listener.getsockname()
        transport.close()
        await protocol.lost

    _run(Own, main)


def test_an_empty_address_list_is_said(loop_factory: LoopFactory) -> None:
    base: Any = _class_of(loop_factory)

    class Own(base):  # type: ignore[misc]
        async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
            return []

    async def main(loop: Any) -> None:
        connecting = loop.create_connection(Recording, "qtloop.invalid", 1)
        assert await failure(connecting) == (OSError, ("getaddrinfo() returned empty list",))

    _run(Own, main)


@pytest.mark.parametrize("iterations", range(6))
async def test_cancelled_at_any_time_it_leaves_nothing(
    loop: AbstractEventLoop, listener: socket.socket, iterations: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        connecting = asyncio.ensure_future(
            loop.create_connection(Recording, *listener.getsockname())
        )
        for _ in range(iterations):
            await asyncio.sleep(0)
        if not connecting.cancel():
            transport, protocol = connecting.result()
            transport.close()
            await protocol.lost
            return
        with pytest.raises(asyncio.CancelledError):
            await connecting
        del connecting
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()


async def test_cancelled_on_its_way_it_closes_its_socket(
    loop: AbstractEventLoop, unanswered: Address
) -> None:
    connecting = asyncio.ensure_future(loop.create_connection(Recording, *unanswered))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not connecting.done()
    connecting.cancel()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(asyncio.CancelledError):
            await connecting
        del connecting
        gc.collect()


async def test_what_the_factory_raises_comes_through(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    def factory() -> asyncio.Protocol:
        raise LookupError("no protocol")

    # Before Python 3.14 asyncio leaves the socket to the garbage collector then.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(LookupError, match="no protocol"):
            await loop.create_connection(factory, *listener.getsockname())
        gc.collect()


async def test_what_connection_made_raises_is_reported_as_its_own(
    loop: AbstractEventLoop, listener: socket.socket, errors: Errors
) -> None:
    class Failing(Recording):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise LookupError("made wrong")

    transport, protocol = await loop.create_connection(Failing, *listener.getsockname())
    (context,) = errors
    errors.clear()
    assert "connection_made(" in context["message"]
    assert context["message"].startswith("Exception in callback ")
    assert str(context["exception"]) == "made wrong"
    assert isinstance(context["handle"], asyncio.Handle)
    # The connection goes on.
    assert transport.is_reading()
    transport.close()
    await protocol.lost


async def test_others_run_before_a_connection_is_refused(
    loop: AbstractEventLoop, closed_port: int
) -> None:
    ran: list[str] = []
    loop.call_soon(ran.append, "another")
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(asyncio.Protocol, "127.0.0.1", closed_port)
    assert ran == ["another"]


async def test_a_protocol_without_methods_is_refused_at_once(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(AttributeError, match="connection_made"):
            await loop.create_connection(lambda: None, *listener.getsockname())  # type: ignore[arg-type,return-value]
        gc.collect()


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


async def test_the_protocol_is_called_in_the_callers_context(
    loop: AbstractEventLoop, listener: socket.socket
) -> None:
    seen: list[str] = []

    class Looking(Recording):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(VARIABLE.get())

        def data_received(self, data: bytes) -> None:
            seen.append(VARIABLE.get())
            VARIABLE.set("kept")
            if len(seen) == 3:
                self.transport.close()

    VARIABLE.set("of the caller")
    _, protocol = await loop.create_connection(Looking, *listener.getsockname())
    VARIABLE.set("later")
    peer, _ = await asyncio.to_thread(listener.accept)
    with peer:
        peer.sendall(b"1")
        while len(seen) < 2:
            await asyncio.sleep(0.001)
        peer.sendall(b"2")
        await protocol.lost
    assert seen == ["of the caller", "of the caller", "kept"]
    assert VARIABLE.get() == "later"


async def test_debug_mode_says_what_was_connected(
    loop: AbstractEventLoop, listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    loop.set_debug(True)
    host, port = listener.getsockname()
    with caplog.at_level("DEBUG", "asyncio"):
        transport, protocol = await loop.create_connection(Recording, host, port)
    assert any(f"connected to {host}:{port}" in message for message in caplog.messages)
    transport.close()
    await protocol.lost

"""What qtloop uses of asyncio's private side on Windows: each piece is there and does what it is
used for. The oracle is a stock loop that never sees qtloop."""

import ast
import asyncio
import inspect
import socket
import textwrap
from asyncio import proactor_events, sslproto, windows_events, windows_utils
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtloop import _asyncio_hooks, _windows

Check = Callable[[Any], None]


@pytest.fixture
def stock() -> Iterator[Any]:
    loop = asyncio.ProactorEventLoop()
    yield loop
    loop.close()


def takes_its_packets_from_one_function(stock: Any) -> None:
    poll = windows_events.IocpProactor._poll
    source = ast.parse(textwrap.dedent(inspect.getsource(poll)))
    used = {
        it.attr
        for it in ast.walk(source)
        if isinstance(it, ast.Attribute) and ast.unparse(it.value) == "_overlapped"
    }
    assert used == {"GetQueuedCompletionStatus", "INVALID_HANDLE_VALUE"}
    assert poll.__closure__ is None


def has_a_port_until_it_is_closed(stock: Any) -> None:
    proactor = windows_events.IocpProactor()
    assert isinstance(proactor._iocp, int)
    proactor.close()
    assert proactor._iocp is None


def knows_its_loop(stock: Any) -> None:
    assert stock._proactor._loop is stock


def collects_what_is_completed(stock: Any) -> None:
    proactor = stock._proactor
    assert proactor._results == []
    proactor._results = completed = [stock.create_future()]
    assert proactor.select(0) is completed
    assert proactor._results == []


def has_a_self_pipe(stock: Any) -> None:
    stock._csock.send(b"x")
    stock._ssock.setblocking(True)
    assert stock._ssock.recv(10) == b"x"


def makes_and_closes_it(stock: Any) -> None:
    stock._close_self_pipe()
    assert (stock._ssock, stock._csock) == (None, None)
    stock._make_self_pipe()
    has_a_self_pipe(stock)


def made(loop: Any, transport: Any, kind: type[Any], file: Any) -> None:
    """Checks a transport, and closes it."""
    assert type(transport) is kind
    assert transport._sock is file
    assert isinstance(transport.get_protocol(), asyncio.BaseProtocol)
    transport.close()
    for _ in range(100):
        if transport._sock is None:
            return
        loop.run_until_complete(asyncio.sleep(0))
    raise AssertionError("its file is not closed")


def makes_streams(loop: Any) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport = loop._make_socket_transport(ours, asyncio.Protocol())
        made(loop, transport, proactor_events._ProactorSocketTransport, ours)


def makes_datagram_endpoints(loop: Any) -> None:
    endpoint = socket.socket(type=socket.SOCK_DGRAM)
    endpoint.bind(("127.0.0.1", 0))
    transport = loop._make_datagram_transport(endpoint, asyncio.DatagramProtocol())
    made(loop, transport, proactor_events._ProactorDatagramTransport, endpoint)


def of_a_pipe(make: str, kind: str, end: int) -> Check:
    def check(loop: Any) -> None:
        handles = windows_utils.pipe(duplex=True, overlapped=(True, True))
        ends = [windows_utils.PipeHandle(it) for it in handles]
        with ends[1 - end]:
            transport = getattr(loop, make)(ends[end], asyncio.Protocol())
            made(loop, transport, getattr(proactor_events, kind), ends[end])

    return check


def puts_tls_before_a_stream(loop: Any) -> None:
    import ssl

    ours, theirs = socket.socketpair()
    with theirs:
        transport = loop._make_ssl_transport(
            ours, asyncio.Protocol(), ssl.create_default_context(), server_hostname="x"
        )
        assert type(transport) is sslproto._SSLProtocolTransport
        loop.run_until_complete(asyncio.sleep(0))
        below = transport._ssl_protocol._transport
        made(loop, below, proactor_events._ProactorSocketTransport, ours)


PROACTOR, BASE = "windows_events.IocpProactor", "proactor_events.BaseProactorEventLoop"
makes_pipes = of_a_pipe("_make_duplex_pipe_transport", "_ProactorDuplexPipeTransport", 0)
makes_readers = of_a_pipe("_make_read_pipe_transport", "_ProactorReadPipeTransport", 0)
makes_writers = of_a_pipe("_make_write_pipe_transport", "_ProactorWritePipeTransport", 1)

CHECKS: dict[str, Check] = {
    f"{PROACTOR}._poll": takes_its_packets_from_one_function,
    f"{PROACTOR}._iocp": has_a_port_until_it_is_closed,
    f"{PROACTOR}._loop": knows_its_loop,
    f"{PROACTOR}._results": collects_what_is_completed,
    "windows_events.ProactorEventLoop._ssock": has_a_self_pipe,
    "windows_events.ProactorEventLoop._csock": has_a_self_pipe,
    f"{BASE}._make_self_pipe": makes_and_closes_it,
    f"{BASE}._close_self_pipe": makes_and_closes_it,
    f"{BASE}._make_socket_transport": makes_streams,
    f"{BASE}._make_ssl_transport": puts_tls_before_a_stream,
    f"{BASE}._make_datagram_transport": makes_datagram_endpoints,
    f"{BASE}._make_duplex_pipe_transport": makes_pipes,
    f"{BASE}._make_read_pipe_transport": makes_readers,
    f"{BASE}._make_write_pipe_transport": makes_writers,
    "proactor_events._ProactorSocketTransport": makes_streams,
    "proactor_events._ProactorDatagramTransport": makes_datagram_endpoints,
    "proactor_events._ProactorReadPipeTransport": makes_readers,
    "proactor_events._ProactorWritePipeTransport": makes_writers,
    "proactor_events._ProactorDuplexPipeTransport": makes_pipes,
    "sslproto._SSLProtocolTransport": puts_tls_before_a_stream,
}


def test_every_hook_has_its_check() -> None:
    assert set(_asyncio_hooks.PRIVATE_ON_WINDOWS) == {*CHECKS}


@pytest.mark.parametrize("name", CHECKS)
def test_a_hook_keeps_its_promise(name: str, stock: Any) -> None:
    CHECKS[name](stock)


def test_nothing_private_is_used_that_is_not_listed() -> None:
    """Whatever the file asks of asyncio's modules, of `super()` or of a proactor or transport."""
    source = ast.parse(Path(_windows.__file__).read_text())
    listed = {it.rpartition(".")[2] for it in _asyncio_hooks.PRIVATE_ON_WINDOWS}
    ours = {it.name for it in ast.walk(source) if isinstance(it, ast.FunctionDef)}
    #: Written in the words of the promises: they belong to instances.
    instances = {"_sock", "_ssl_protocol", "_transport"}
    # Either Python's name is there, or neither; both are used by the tests of policies.
    policy = {"_DefaultEventLoopPolicy"}
    of_rust = {"_add_reader", "_remove_reader", "_add_writer", "_remove_writer"}
    own = {"_completions", "_proactor", "_made"}
    used = {
        it.attr
        for it in ast.walk(source)
        if isinstance(it, ast.Attribute) and it.attr.startswith("_") and it.attr[:2] != "__"
    }
    assert used - listed - (ours - listed) - instances - policy - of_rust - own == set()

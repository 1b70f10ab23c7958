"""In which `contextvars` context a protocol is called. From Python 3.15 a connection has one of its
own."""

import asyncio
import contextvars
import socket
from asyncio import AbstractEventLoop
from typing import Any

import pytest

from ..support.loops import LoopFactory
from ..support.recording import BIG, Log, compare, sockets

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Telling(asyncio.Protocol):
    """Logs what the variable is at each step, and changes it."""

    transport: Any

    def __init__(self, log: Log, name: str) -> None:
        self._log, self._name = log, name
        self.lost = asyncio.get_running_loop().create_future()
        self.received = asyncio.get_running_loop().create_future()
        self._step("factory")

    def _step(self, step: str) -> None:
        self._log.append((self._name, step, variable.get()))
        variable.set(f"set by {step}")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._step("connection_made")

    def data_received(self, data: bytes) -> None:
        self._step("data_received")
        if not self.received.done():
            self.received.set_result(None)

    def pause_writing(self) -> None:
        self._step("pause_writing")

    def resume_writing(self) -> None:
        self._step("resume_writing")

    def eof_received(self) -> None:
        self._step("eof_received")

    def connection_lost(self, error: Any) -> None:
        self._step("connection_lost")
        self.lost.set_result(None)


async def talk(loop: AbstractEventLoop, protocol: Telling, peer: socket.socket) -> None:
    """Something arrives twice, something waits to be written, the peer closes."""
    for _ in range(2):
        await loop.sock_sendall(peer, b"x")
        await protocol.received
        protocol.received = loop.create_future()
    variable.set("set by the writer")
    protocol.transport.write(BIG)
    left = len(BIG)
    while left:
        left -= len(await loop.sock_recv(peer, left))
    peer.shutdown(socket.SHUT_WR)
    await protocol.lost


def test_of_a_connection(loop_factory: LoopFactory) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        variable.set("set by the one who connects")
        ours, peer = sockets()
        with peer:
            _, protocol = await loop.create_connection(lambda: Telling(log, "client"), sock=ours)
            await talk(loop, protocol, peer)
        log.append(("caller", variable.get()))

    assert len(compare(loop_factory, script)) > 7


@pytest.mark.parametrize("start_at_once", [True, False])
def test_of_accepted_connections(loop_factory: LoopFactory, start_at_once: bool) -> None:
    async def script(loop: AbstractEventLoop, log: Log) -> None:
        protocols: asyncio.Queue[Telling] = asyncio.Queue()

        def factory() -> Telling:
            protocols.put_nowait(protocol := Telling(log, "server"))
            return protocol

        variable.set("set by the one who makes the server")
        server = await loop.create_server(factory, "127.0.0.1", 0, start_serving=start_at_once)
        if not start_at_once:
            variable.set("set by the one who starts it")
            await server.start_serving()
        variable.set("set later")
        async with server:
            for _ in range(2):
                with socket.socket() as peer:
                    peer.setblocking(False)
                    await loop.sock_connect(peer, server.sockets[0].getsockname())
                    await talk(loop, await protocols.get(), peer)

    assert len(compare(loop_factory, script)) > 14


def test_of_a_context_that_is_given(qt_loop: Any) -> None:
    """asyncio's own hook takes one from Python 3.15 on; ours does everywhere."""
    log: Log = []
    context = contextvars.copy_context()
    context.run(variable.set, "the context's")

    async def main() -> None:
        ours, peer = sockets()
        with peer:
            protocol = Telling(log, "client")
            qt_loop._make_socket_transport(ours, protocol, context=context)
            await talk(qt_loop, protocol, peer)

    qt_loop.run_until_complete(asyncio.wait_for(main(), 30))
    steps = [step for _, step, _ in log]
    assert log[1] == ("client", "connection_made", "the context's")
    # Each sees what the one before has set; but the protocol is told to pause by the one who
    # writes.
    by_loop = [entry for entry in log[1:] if entry[1] != "pause_writing"]
    assert [seen for *_, seen in by_loop[1:]] == [f"set by {step}" for _, step, _ in by_loop[:-1]]
    assert steps.count("resume_writing") == 1
    assert context[variable] == "set by connection_lost"


@pytest.mark.parametrize(
    "hook", ["_make_socket_transport", "_make_datagram_transport", "_make_read_pipe_transport"]
)
def test_an_unknown_option_is_refused(loop: Any, hook: str) -> None:
    """On the Pythons that were tested. A newer one may have added some."""
    ours, peer = sockets()
    with ours, peer, pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
        getattr(loop, hook)(ours, asyncio.Protocol(), unknown=1)

"""Peers of a TLS listener that stop, lie or vanish at any byte.

Whatever a loop makes of them, stock asyncio must make the same. `tests/stress` does the same at
random, and with all else beside it.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ..support.certificates import Contexts
from ..support.loops import LoopFactory
from ..support.tls_peer import Peer, Recorder

GARBAGE = b"\x17\x03\x03\x00\x20" + b"garbage" * 20
PATIENCE = 25

Act = Callable[[Peer], Awaitable[None]]
#: What each connection came to: how much was received, and the protocol's other calls.
Outcomes = list[tuple[int, list[str], bytes]]


class Enough(Exception):
    """The peer has sent as much as it was to send."""


class CutPeer(Peer):
    """Sends so many bytes and no more."""

    left = 1 << 30

    async def send(self, data: bytes) -> None:
        piece = data[: self.left]
        self.left -= len(piece)
        await super().send(piece)
        if len(piece) < len(data):
            raise Enough


async def go(peer: Peer) -> None:
    peer.close()


async def go_half(peer: Peer) -> None:
    peer.sock.shutdown(socket.SHUT_WR)


async def lie(peer: Peer) -> None:
    await asyncio.get_running_loop().sock_sendall(peer.sock, GARBAGE)
    peer.sock.shutdown(socket.SHUT_WR)


async def shake_hands_again(peer: Peer) -> None:
    """A hello amid the connection, which is no record of it."""
    other = socket.socket()
    again = Peer(other, peer.tls.context)
    other.close()
    again.step()
    await asyncio.get_running_loop().sock_sendall(peer.sock, again._outgoing.read())
    peer.sock.shutdown(socket.SHUT_WR)


async def until_closed(peer: Peer) -> None:
    with contextlib.suppress(ConnectionError, OSError):
        while await asyncio.get_running_loop().sock_recv(peer.sock, 65536):
            pass
    peer.close()


async def serve(contexts: Contexts, cuts: list[int], act: Act) -> tuple[Outcomes, list[str]]:
    """A connection for each number of bytes, after which the peer acts."""
    loop = asyncio.get_running_loop()
    reported: list[str] = []

    def note(_: Any, context: dict[str, Any]) -> None:
        reported.append(f"{context['message']}: {type(context['exception']).__name__}")

    loop.set_exception_handler(note)
    protocols: list[Recorder] = []

    def make() -> Recorder:
        protocols.append(Recorder())
        return protocols[-1]

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=contexts.server)
    outcomes: Outcomes = []
    for cut in cuts:
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        peer = CutPeer(sock, contexts.client)
        peer.left = cut
        with contextlib.suppress(Enough):
            await peer.handshake()
            await peer.send(peer.encrypt(b"first", b"second"))
            await peer.send(peer.goodbye())
        await act(peer)
        if peer.sock.fileno() >= 0:
            await until_closed(peer)
        while len(protocols) <= len(outcomes):
            await asyncio.sleep(0)
        [protocol] = protocols[len(outcomes) :]
        if "made" in protocol.events:
            await protocol.is_over
        calls = [event if isinstance(event, str) else event[0] for event in protocol.events]
        outcomes.append((cut, calls, protocol.received))
    server.close()
    await server.wait_closed()
    return outcomes, sorted(reported)


def run(factory: LoopFactory, contexts: Contexts, cuts: list[int], act: Act) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(serve(contexts, cuts, act), PATIENCE))


@functools.cache
def sizes_of(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[int, int, int]:
    """How many bytes the client's hello has, its whole handshake, and all that it sends."""

    async def measure() -> tuple[int, int, int]:
        left, right = socket.socketpair()
        near, far = CutPeer(left, client), Peer(right, server, True)
        near.step()
        hello = near._outgoing.read()
        await near.send(hello)
        await asyncio.gather(near.handshake(), far.handshake())
        handshake = CutPeer.left - near.left
        await near.send(near.encrypt(b"first", b"second") + near.goodbye())
        near.close()
        far.close()
        return len(hello), handshake, CutPeer.left - near.left

    return asyncio.run(measure())


def cuts_of(contexts: Contexts, act: Act) -> list[int]:
    """Within the hello a few, and from then on every byte, or a part of them."""
    hello, handshake, total = sizes_of(contexts.client, contexts.server)
    # A peer that is gone resets the connection, if it has not read all. That overtakes what it has
    # sent after the handshake, or does not.
    end = handshake - 1 if act is go else total
    step = 1 if act in (go, go_half) else 7
    return [0, 1, 4, 5, 6, *range(50, hello, 150), *range(hello - 1, end, step), end]


_on_stock: dict[Act, Any] = {}


@pytest.mark.parametrize("act", [go, go_half, lie, shake_hands_again], ids=lambda act: act.__name__)
def test_a_peer_that_stops_at_any_byte(
    loop_factory: LoopFactory, contexts: Contexts, act: Act
) -> None:
    cuts = cuts_of(contexts, act)
    if act not in _on_stock:
        _on_stock[act] = run(asyncio.SelectorEventLoop, contexts, cuts, act)
    outcomes, reported = run(loop_factory, contexts, cuts, act)
    assert (outcomes, reported) == _on_stock[act]
    assert outcomes[0][1:] == ([], b"")
    if act is go_half:
        assert outcomes[-1][1][-1] == "lost"
        assert outcomes[-1][2] == b"firstsecond"


@pytest.mark.parametrize(
    ("version", "command"), [("-tls1_2", "R"), ("-tls1_3", "k"), ("-tls1_3", "K")]
)
def test_openssl_asks_for_new_keys(
    loop_factory: LoopFactory, contexts: Contexts, version: str, command: str
) -> None:
    """By another handshake, which OpenSSL refuses since version 3; from TLS 1.3 on by a message."""

    def ask(port: int) -> list[str]:
        """What is echoed before and after."""
        arguments = ["s_client", "-connect", f"127.0.0.1:{port}", version]
        client = subprocess.Popen(
            ["openssl", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        echoed = []
        assert client.stdin
        assert client.stdout
        with client, contextlib.suppress(BrokenPipeError), client.stdin:
            for line in ("before\n", f"{command}\n", "after\n"):
                with contextlib.suppress(BrokenPipeError):
                    client.stdin.write(line)
                    client.stdin.flush()
                if line.startswith(command):
                    awaited = {"R": "RENEGOTIATING", "k": "KEYUPDATE", "K": "KEYUPDATE"}[command]
                else:
                    awaited = line.strip()
                for answer in client.stdout:
                    if answer.strip() == awaited:
                        echoed.append(awaited)
                        break
        return echoed

    async def program() -> Any:
        loop = asyncio.get_running_loop()
        reported: list[Any] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["message"]))

        def echo(protocol: Recorder, name: str) -> None:
            if name == "data":
                protocol.transport.write(protocol.received[sent[-1] :])
                sent.append(len(protocol.received))

        sent = [0]
        protocol = Recorder(echo)
        server = await loop.create_server(
            lambda: protocol, "127.0.0.1", 0, ssl=contexts.server, ssl_shutdown_timeout=1
        )
        echoed = await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])
        await protocol.is_over
        server.close()
        await server.wait_closed()
        calls = [event if isinstance(event, str) else event[0] for event in protocol.events]
        return echoed, protocol.received, [calls[0], calls[-1]], reported

    def one(factory: LoopFactory) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(program(), PATIENCE))

    outcome = one(loop_factory)
    assert outcome == one(asyncio.SelectorEventLoop)
    assert outcome[1].startswith(b"before\n")
    assert outcome[1].endswith(b"after\n") == (version == "-tls1_3")

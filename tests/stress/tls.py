"""TLS with peers that are honest, slow, broken or hostile.

One end is the loop's, behind a listener or as a client. The other end is a bare socket whose TLS
the actor drives record by record, so it can stop, lie or vanish at any byte.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.python.support.certificates import make_certificate
from tests.python.support.tls_peer import Peer

from .checks import Incoming, Pattern
from .ledger import Ledger

RESET = struct.pack("ii", 1, 0)
#: Seconds that a server waits for a handshake, and for the end of a connection.
LIMITS: Any = {"ssl_handshake_timeout": 5, "ssl_shutdown_timeout": 2}
#: How many bytes a peer gives away before it breaks off: the handshake takes about this many.
HANDSHAKE = 1_500
#: What ends a connection to such a peer.
ENDS = (ConnectionError, ssl.SSLError, TimeoutError)


@dataclass
class Contexts:
    """The contexts of both sides, each with the newest and with an older version of TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    old_client: ssl.SSLContext


def make_contexts() -> Contexts:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        make_certificate(certificate, key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate, key)
        client, old = (ssl.create_default_context(cafile=certificate) for _ in range(2))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    return Contexts(server, client, old)


class Echo(asyncio.Protocol):
    """The loop's end: sends back what it gets. It reads no more while it may not write."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.calls: list[str] = []
        self.transport: Any = None
        self.received = 0

    def _note(self, callback: str, is_in_order: bool) -> None:
        self._ledger.counts["callbacks"] += 1
        self._ledger.check(is_in_order, f"TLS: {callback} after {self.calls}")
        if self.calls[-1:] != [callback]:
            self.calls.append(callback)

    def _is_open(self) -> bool:
        return "connection_made" in self.calls and "connection_lost" not in self.calls

    def connection_made(self, transport: Any) -> None:
        self._note("connection_made", not self.calls)
        self._ledger.owe(self, "a TLS connection was not lost")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._note("data_received", self._is_open() and "eof_received" not in self.calls)
        self.received += len(data)
        self.transport.write(data)

    def eof_received(self) -> None:
        self._note("eof_received", self._is_open() and "eof_received" not in self.calls)

    def pause_writing(self) -> None:
        self._note("pause_writing", self._is_open())
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._note("resume_writing", "pause_writing" in self.calls)
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("connection_lost", self._is_open())
        self._ledger.pay(self, "a TLS connection was lost")


class Vanished(Exception):
    """The peer has given away as many bytes as it wanted to."""


class CutPeer(Peer):
    """A peer whose records go out in pieces, and which breaks off after so many bytes."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, is_server: bool) -> None:
        super().__init__(sock, context, is_server)
        self.most = 1 << 20
        self.left = 1 << 40

    async def send(self, data: bytes) -> None:
        while data:
            size = min(self.most, self.left)
            if size == 0:
                raise Vanished
            piece, data = data[:size], data[size:]
            self.left -= len(piece)
            await super().send(piece)
            if data:
                await asyncio.sleep(0)

    async def until_closed(self) -> None:
        """Takes whatever comes."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16):
                pass


async def peers(stage: Any, chance: random.Random) -> None:
    """One connection, which ends well or badly as the dice fall."""
    if chance.random() < 0.6:
        await behind_listener(stage, chance)
    else:
        await behind_client(stage, chance)


async def behind_listener(stage: Any, chance: random.Random) -> None:
    contexts = stage.contexts
    sock = socket.socket()
    sock.setblocking(False)
    await stage.loop.sock_connect(sock, stage.tls.sockets[0].getsockname())
    context = chance.choice([contexts.client, contexts.client, contexts.old_client])
    with sock:
        await meet(stage, chance, CutPeer(sock, context, is_server=False))


async def behind_client(stage: Any, chance: random.Random) -> None:
    """The loop is the client, and the peer the server."""
    left, right = socket.socketpair()
    end = Echo(stage.ledger)
    connecting = asyncio.ensure_future(
        stage.loop.create_connection(
            lambda: end, sock=left, ssl=stage.contexts.client, server_hostname="localhost", **LIMITS
        )
    )
    if chance.random() < 0.05:
        stage.later(chance.random() * 0.003, connecting.cancel)
    with right:
        await meet(stage, chance, CutPeer(right, stage.contexts.server, is_server=True))
    await asyncio.wait([connecting])
    if connecting.cancelled():
        stage.ledger.counts["cancelled"] += 1
        left.close()
    elif (error := connecting.exception()) is not None:
        stage.ledger.check(isinstance(error, ENDS), f"connecting failed: {error!r}")
        stage.ledger.check("connection_made" not in end.calls, f"{error!r} after {end.calls}")


async def meet(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """The peer's part."""
    stage.ledger.counts["TLS peers"] += 1
    fate = chance.choice(FATES)
    peer.most = chance.choice([1, 5, 100, 1 << 14, 1 << 20])
    if fate in (vanish, talk_nonsense):
        peer.left = chance.randrange(1, 3 * HANDSHAKE)
    with contextlib.suppress(*ENDS, OSError):
        try:
            await peer.handshake()
            await fate(stage, chance, peer)
        except Vanished:
            await break_off(chance, peer, is_garbage=fate is talk_nonsense)


async def break_off(chance: random.Random, peer: CutPeer, *, is_garbage: bool) -> None:
    if is_garbage:
        await asyncio.get_running_loop().sock_sendall(peer.sock, chance.randbytes(4_000))
        peer.sock.shutdown(socket.SHUT_WR)
        await peer.until_closed()
    elif chance.random() < 0.3:
        peer.sock.shutdown(socket.SHUT_WR)
        await peer.until_closed()
    elif chance.random() < 0.5 and peer.sock.family == socket.AF_INET:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


# What becomes of a connection after its handshake.


async def echoed(stage: Any, chance: random.Random, peer: CutPeer, size: int) -> Incoming:
    """Sends so much, and reads it back, in sips or at once."""
    pattern = Pattern(chance.randrange(1 << 30))
    incoming = Incoming(stage.ledger, pattern)
    pieces = [1, 100, 10_000, 1 << 14, 1 << 16]
    records, sent = [], 0
    while sent < size:
        piece = pattern.piece(sent, min(size - sent, chance.choice(pieces)))
        records.append(peer.encrypt(piece))
        sent += len(piece)

    async def take() -> None:
        while incoming.size < size:
            data = await peer.read(min(size - incoming.size, chance.choice([1, 1 << 16])))
            if not data:
                break
            incoming.take(data)
            if chance.random() < 0.05:
                await asyncio.sleep(0.001)

    both = [asyncio.ensure_future(peer.send(b"".join(records))), asyncio.ensure_future(take())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)
    for task in both:
        if not task.cancelled():
            task.result()
    return incoming


async def say_goodbye(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """All that was sent comes back, and both sides end well."""
    peer.most = max(peer.most, 100)
    size = chance.choice([0, 1, 1_000, 60_000, 1 << 20 if peer.most > 100 else 1])
    incoming = await echoed(stage, chance, peer, size)
    stage.ledger.check(incoming.size == size, f"TLS: {size} sent, {incoming.size} came back")
    await peer.send(peer.goodbye())
    await peer.until_closed()


async def vanish(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """At some byte: amid the handshake, amid a record, or right after it."""
    await echoed(stage, chance, peer, 10_000)
    raise Vanished


async def talk_nonsense(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    await vanish(stage, chance, peer)


async def shake_hands_again(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """A second hello, which is refused whatever the version: unencrypted it is no record of this
    connection."""
    await echoed(stage, chance, peer, 100)
    again = Peer(peer.sock, stage.contexts.old_client)
    again.step()
    await again.flush()
    await peer.until_closed()


async def close_half(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """The TCP half, without the record that TLS ends with."""
    await echoed(stage, chance, peer, chance.choice([0, 100, 50_000]))
    peer.sock.shutdown(socket.SHUT_WR)
    await peer.until_closed()


async def close_half_of_tls(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """Sends no more, and expects that the other side may. asyncio ends the connection."""
    await peer.send(peer.encrypt(b"x") + peer.goodbye())
    await peer.until_closed()


async def read_nothing(stage: Any, chance: random.Random, peer: CutPeer) -> None:
    """Sends until the other side has had enough, since nobody takes what it sends back."""
    peer.most = 1 << 20
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while True:
                await peer.send(peer.encrypt(bytes(1 << 14)))


FATES = [
    say_goodbye,
    say_goodbye,
    vanish,
    vanish,
    talk_nonsense,
    shake_hands_again,
    close_half,
    close_half_of_tls,
    read_nothing,
]

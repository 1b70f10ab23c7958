"""Protocols that check every byte and the order of their callbacks."""

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

from .ledger import Ledger

_PERIOD = 1_048_573
_NOISE = random.Random(0).randbytes(_PERIOD) * 3
_numbers = itertools.count(1)

#: The longest that is sent in one piece.
MOST = 1 << 20
#: What a client sends first: which connection this is.
HEADER = 8


class Pattern:
    """An endless stream of bytes of which each position can be told."""

    def __init__(self, number: int) -> None:
        self._offset = number * 7_919 % _PERIOD

    def piece(self, position: int, size: int) -> bytes:
        """At most `MOST` bytes."""
        start = (self._offset + position) % _PERIOD
        return _NOISE[start : start + size]


class Incoming:
    """Bytes that must be those of a pattern, in order, none missing and none twice."""

    def __init__(self, ledger: Ledger, pattern: Pattern) -> None:
        self._ledger = ledger
        self._pattern = pattern
        self.size = 0

    def take(self, data: bytes) -> None:
        if data != self._pattern.piece(self.size, len(data)):
            self._ledger.wrong(f"wrong bytes from {self.size} on: {data[:20]!r}... of {len(data)}")
        self.size += len(data)
        self._ledger.counts["bytes"] += len(data)


class Connection:
    """Both ends of a connection. Once it is broken, on purpose, bytes may be missing at its end."""

    all: "dict[int, Connection]" = {}  # noqa: RUF012

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.number = next(_numbers)
        self.patterns = Pattern(2 * self.number), Pattern(2 * self.number + 1)
        self.ends: dict[int, Endpoint] = {}
        self.is_broken = False
        self.all[self.number] = self

    def end_is_over(self) -> None:
        """Compares what was sent with what arrived, once both ends are over."""
        if len(self.ends) < 2 or not all(end.is_lost for end in self.ends.values()):
            return
        self.all.pop(self.number, None)
        for sender, receiver in ((self.ends[0], self.ends[1]), (self.ends[1], self.ends[0])):
            assert receiver.incoming is not None
            sent, received = sender.sent, receiver.incoming.size
            if sent < received or (sent != received and not self.is_broken):
                self.ledger.wrong(
                    f"connection {self.number}: {sent} bytes sent, {received} received"
                )


class Endpoint:
    """One end, behind one protocol after the other. A server's learns from the header whose it is.

    `meet` is called when it knows its connection.
    """

    def __init__(
        self,
        ledger: Ledger,
        chance: random.Random,
        connection: Connection | None = None,
        meet: "Callable[[Endpoint], None] | None" = None,
    ) -> None:
        self.ledger = ledger
        self.chance = chance
        self.connection: Connection | None = None
        self.incoming: Incoming | None = None
        self.outgoing: Pattern | None = None
        self.transport: Any = None
        self.sent = 0
        #: Callbacks that raise an exception when they are called next.
        self.armed: set[str] = set()
        #: Runs amid `data_received` now and then.
        self.amid_data: Callable[[], None] | None = None
        self.has_ended = self.is_lost = self.is_made = self.has_eof = False
        self._is_paused = False
        self._is_reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._meet = meet
        self._header = b""
        self._fatal: Exception | None = None
        if connection is not None:
            self._belong_to(connection, 0)

    def _belong_to(self, connection: Connection, side: int) -> None:
        self.connection = connection
        connection.ends[side] = self
        self.outgoing = connection.patterns[side]
        self.incoming = Incoming(self.ledger, connection.patterns[1 - side])

    # What the actors do.

    @property
    def is_usable(self) -> bool:
        return self.is_made and not self.transport.is_closing()

    def introduce(self) -> None:
        assert self.connection is not None
        self.transport.write(self.connection.number.to_bytes(HEADER, "big"))

    def next_bytes(self, size: int) -> bytes:
        """What is to be sent now, counted as sent."""
        assert self.outgoing is not None
        piece = self.outgoing.piece(self.sent, size)
        self.sent += size
        return piece

    async def writable(self) -> None:
        """Until the transport wants more, or is lost."""
        await self._writable.wait()

    def pause(self) -> None:
        if self.is_usable and not self.has_eof:
            self._is_reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        self._is_reading = True
        if self.is_usable and not self.has_eof:
            self.transport.resume_reading()

    def finish(self) -> None:
        """The orderly end of what this side sends."""
        if self.is_usable:
            self.has_ended = True
            try:
                self.transport.write_eof()
            except OSError as error:  # A reset that nobody has noticed yet.
                is_broken = self.connection is not None and self.connection.is_broken
                self.ledger.check(is_broken, f"write_eof failed: {error!r}")
            self._close_if_done()

    def give_up(self) -> None:
        """Ends what does not end by itself. Stock asyncio fails at aborting what was lost after a
        close."""
        if not self.is_lost:
            self.transport.abort()

    def break_off(self) -> None:
        """From here on bytes may get lost."""
        if self.connection is not None:
            self.connection.is_broken = True

    def _close_if_done(self) -> None:
        if self.has_ended and self.has_eof:
            self.transport.close()

    # What the protocols hear.

    def _called(self, callback: str, is_in_order: bool) -> None:
        self.ledger.counts["callbacks"] += 1
        self.ledger.check(
            is_in_order and not self.is_lost, f"{callback} out of order: {self.transport!r}"
        )

    def _fail_if_armed(self, callback: str, *, is_fatal: bool = False) -> None:
        if callback in self.armed and not (is_fatal and self.transport.is_closing()):
            self.armed.discard(callback)
            error = self.ledger.provoke(callback)
            if is_fatal:
                self._fatal = error
                self.break_off()
            raise error

    def made(self, transport: Any) -> None:
        self._called("connection_made", not self.is_made)
        self.transport = transport
        self.is_made = True
        self.ledger.counts["ends"] += 1
        self.ledger.owe(self, "a connection was not lost")
        self._fail_if_armed("connection_made")

    def received(self, data: bytes, callback: str) -> None:
        self._called(
            callback, self.is_made and not self.has_eof and self._is_reading and bool(data)
        )
        if self.incoming is None:
            data = self._read_header(data)
        if self.incoming is not None:
            self.incoming.take(data)
        self._fail_if_armed(callback, is_fatal=True)
        if self.amid_data is not None and self.chance.random() < 0.002:
            self.amid_data()

    def _read_header(self, data: bytes) -> bytes:
        missing = HEADER - len(self._header)
        self._header += data[:missing]
        if len(self._header) == HEADER:
            connection = Connection.all.get(int.from_bytes(self._header, "big"))
            if connection is None:
                self.ledger.wrong(f"nobody's connection: {self._header!r}")
                self.transport.abort()
            else:
                self._belong_to(connection, 1)
                assert self._meet is not None
                self._meet(self)
        return data[missing:]

    def eof(self) -> bool:
        self._called("eof_received", self.is_made and not self.has_eof and self._is_reading)
        self.has_eof = True
        self._fail_if_armed("eof_received", is_fatal=True)
        if self.incoming is None:
            return False
        self._close_if_done()
        return True

    def pause_writing(self) -> None:
        self._called("pause_writing", not self._is_paused)
        self._is_paused = True
        self._writable.clear()
        self._fail_if_armed("pause_writing")

    def resume_writing(self) -> None:
        self._called("resume_writing", self._is_paused)
        self._is_paused = False
        self._writable.set()
        self._fail_if_armed("resume_writing")

    def lost(self, exc: Exception | None) -> None:
        self._called("connection_lost", self.is_made)
        self.is_lost = True
        self._writable.set()
        self.ledger.pay(self, "a connection was lost")
        if self._fatal is not None:
            self.ledger.check(exc is self._fatal, f"lost by {exc!r}, not by {self._fatal!r}")
        if self.connection is not None:
            is_expected = exc is None or self.connection.is_broken
            self.ledger.check(
                is_expected, f"connection {self.connection.number} was lost by {exc!r}"
            )
            self.connection.end_is_over()
        self._fail_if_armed("connection_lost")


class _Behind:
    """What both kinds of protocols have in common."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.connection_made = endpoint.made
        self.pause_writing = endpoint.pause_writing
        self.resume_writing = endpoint.resume_writing
        self.connection_lost = endpoint.lost
        self.eof_received = endpoint.eof


class Plain(_Behind, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self._endpoint.received(data, "data_received")


class Buffered(_Behind, asyncio.BufferedProtocol):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._buffer = bytearray(endpoint.chance.choice([1_000, 65_536, 300_000]))

    def get_buffer(self, sizehint: int) -> memoryview:
        self._endpoint._fail_if_armed("get_buffer", is_fatal=True)
        return memoryview(self._buffer)[: self._endpoint.chance.randint(200, len(self._buffer))]

    def buffer_updated(self, nbytes: int) -> None:
        self._endpoint.received(bytes(memoryview(self._buffer)[:nbytes]), "buffer_updated")


def protocol_for(endpoint: Endpoint) -> Any:
    """Of one kind or the other."""
    return endpoint.chance.choice([Plain, Buffered])(endpoint)

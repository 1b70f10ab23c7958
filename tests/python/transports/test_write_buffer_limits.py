"""A write buffer's limits may be any numbers, and are given back as they were set: as on the stock
loop."""

import asyncio
import decimal
import fractions
import math
import os
import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

import pytest

from ..support.loops import failure


class Odd:
    """No number, but enough of one for asyncio."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __ge__(self, other: Any) -> bool:
        return self.value >= getattr(other, "value", other)

    def __le__(self, other: Any) -> bool:
        return self.value <= getattr(other, "value", other)

    def __floordiv__(self, other: int) -> "Odd":
        return Odd(self.value // other)

    def __floor__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"Odd({self.value})"


LIMITS: list[dict[str, Any]] = [
    {},
    {"high": 0},
    {"high": 7},
    {"low": 5},
    {"high": True},
    {"high": True, "low": False},
    {"high": 1.5},
    {"low": 1.5},
    {"high": 10.0, "low": 2},
    {"high": 10, "low": 2.5},
    {"high": 0.5, "low": 0.25},
    {"high": math.inf},
    {"high": math.inf, "low": math.inf},
    {"low": math.inf},
    {"high": math.nan},
    {"high": -0.5},
    {"low": -1},
    {"high": 1, "low": 2.5},
    {"high": 1 << 63},
    {"high": 1 << 64, "low": (1 << 64) - 1},
    {"high": 1 << 200},
    {"low": 1 << 200},
    {"high": 1e300},
    {"high": -(1 << 70)},
    {"high": fractions.Fraction(7, 2)},
    {"high": decimal.Decimal("7.5"), "low": decimal.Decimal(1)},
    {"high": "7"},
    {"high": b"7", "low": b"1"},
    {"high": None, "low": None},
    {"high": object()},
    {"high": 1j},
    {"high": Odd(9)},
    {"high": Odd(9), "low": 1},
]


class Protocol(asyncio.Protocol):
    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


def plain(error: tuple[type[BaseException], str] | None) -> Any:
    return error and (error[0], error[1].partition(" at 0x")[0])


async def stream(loop: AbstractEventLoop, here: socket.socket) -> Any:
    return await loop.create_connection(Protocol, sock=here)


async def pipe(loop: AbstractEventLoop, here: socket.socket) -> Any:
    return await loop.connect_write_pipe(Protocol, os.fdopen(here.detach(), "wb", 0))


#: Two loops are compared by what each of these says.
MAKERS: dict[str, Callable[[AbstractEventLoop, socket.socket], Any]] = {
    "stream": stream,
    "pipe": pipe,
}


def story(loop: AbstractEventLoop, make: Callable[..., Any], limits: dict[str, Any]) -> Any:
    async def tell() -> Any:
        here, there = socket.socketpair()
        here.setblocking(False)
        with there:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            transport, protocol = await make(loop, here)
            failed = failure(lambda: transport.set_write_buffer_limits(**limits))
            got = transport.get_write_buffer_limits()
            transport.write(b"x" * 1_000_000)
            for _ in range(8):
                transport.write(b"x")
            told = protocol.told[:]
            transport.set_write_buffer_limits()
            again = transport.get_write_buffer_limits()
            transport.abort()
            return plain(failed), repr(got), list(map(type, got)), told, again

    return loop.run_until_complete(tell())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("limits", LIMITS, ids=repr)
def test_limits(
    qt_loop: AbstractEventLoop,
    stock_loop: AbstractEventLoop,
    make: Callable[..., Any],
    limits: dict[str, Any],
) -> None:
    assert story(qt_loop, make, limits) == story(stock_loop, make, limits)

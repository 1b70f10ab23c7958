"""Loops with a fault, by which one sees that CPython's tests do find faults."""

import asyncio
import os


class NeverClosed(asyncio.SelectorEventLoop):
    """Says so even when it is closed."""

    def is_closed(self) -> bool:
        return False


class Crashing(asyncio.SelectorEventLoop):
    """Takes the process with it."""

    def run_forever(self) -> None:
        os.abort()


class SomebodyElses(asyncio.SelectorEventLoop):
    """Makes another loop in secret."""

    def __init__(self) -> None:
        super().__init__()
        STOCK().close()


STOCK = asyncio.SelectorEventLoop


def prepare() -> None:
    """What is called before any loop is made."""

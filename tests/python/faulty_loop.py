"""A loop with a fault, by which one sees that CPython's tests do find faults."""

import asyncio


class NeverClosed(asyncio.SelectorEventLoop):
    """Says so even when it is closed."""

    def is_closed(self) -> bool:
        return False

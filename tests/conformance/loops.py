"""The loops that can be put to the test, by name."""

from __future__ import annotations

import importlib
from typing import Any

from qtloop.conformance.choice import Choice, choice_of

_NAMES = {
    "stock": "asyncio:SelectorEventLoop",
    "qtloop": "qtloop:EventLoop",
    "uvloop": "uvloop:Loop",
}


def load(name: str) -> Choice:
    module, _, attribute = _NAMES[name].partition(":")
    factory: Any = getattr(importlib.import_module(module), attribute)
    return choice_of(factory)

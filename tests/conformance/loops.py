"""The loops that can be put to the test, by name."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from qtloop.conformance.choice import Choice, choice_of

_STOCK = "ProactorEventLoop" if sys.platform == "win32" else "SelectorEventLoop"
_NAMES = {
    "stock": f"asyncio:{_STOCK}",
    "qtloop": "qtloop:EventLoop",
    "uvloop": "uvloop:Loop",
}


def load(name: str) -> Choice:
    module, _, attribute = _NAMES[name].partition(":")
    factory: Any = getattr(importlib.import_module(module), attribute)
    return choice_of(factory)

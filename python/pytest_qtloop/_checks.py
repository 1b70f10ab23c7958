"""What is asked of a test besides its own assertions: no error in a slot or callback, nothing left
behind."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any, Final

import pytest

import qtloop

from . import _leftovers

_CHECKS: Final = pytest.StashKey["Checks"]()

#: Of the test that runs now.
_current: "Checks | None" = None

_default_exception_handler = qtloop.EventLoop.default_exception_handler


def of(item: pytest.Item) -> "Checks":
    """The checks of a test."""
    if _CHECKS not in item.stash:
        item.stash[_CHECKS] = Checks(item)
    return item.stash[_CHECKS]


def current() -> "Checks | None":
    """The checks of the test that runs now."""
    return _current


class Checks:
    """The checks of one test, from before its setup until after its teardown."""

    def __init__(self, item: pytest.Item) -> None:
        self.errors: list[dict[str, Any]] = []
        self.objects = _leftovers.Objects(item.config.getini("qtloop_find_timers"))
        self._item = item

    def begin(self) -> None:
        """Begins to collect errors."""
        global _current
        _current = self
        qtloop.EventLoop.default_exception_handler = _record  # type: ignore[method-assign,assignment]
        self.objects.begin()

    @contextlib.contextmanager
    def failing(self, when: str) -> Iterator[None]:
        """Fails the test for the errors meanwhile; if it fails anyway they are a section of its
        report."""
        try:
            yield
        except BaseException:
            if self.errors:
                self._item.add_report_section(when, "errors in slots and callbacks", self._take())
            raise
        self.report(when)

    def report(self, when: str) -> None:
        """Fails the test for the errors so far."""
        if self.errors:
            pytest.fail(
                f"errors in slots and callbacks during {when}:\n\n{self._take()}", pytrace=False
            )

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Around the teardown: after it nothing may be left, and errors are nobody's any more."""
        global _current
        run = self._item.funcargs.get("_qtloop_run")  # type: ignore[attr-defined]
        try:
            yield
        finally:
            try:
                if run is not None:
                    run.settle(self._item)
            finally:
                left = self.objects.end()
                _current = None
        _leftovers.warn(self._item, left)

    def _take(self) -> str:
        texts = [_text(context) for context in self.errors]
        self.errors.clear()
        return "\n".join(texts)


def _record(loop: qtloop.EventLoop, context: dict[str, Any]) -> None:
    """In the place of the loops' default exception handler, while a test runs. Logs as that
    does."""
    if _current is not None:
        _current.errors.append(context)
    _default_exception_handler(loop, context)


def _text(context: dict[str, Any]) -> str:
    error = context.get("exception")
    lines = [str(context.get("message") or "Unhandled exception in event loop")]
    lines += [
        f"{name}: {value!r}"
        for name, value in context.items()
        if name not in ("message", "exception")
    ]
    if error is not None:
        lines += "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(lines) + "\n"

"""Windows that ask a coroutine before they close: it may await a dialog, or save."""

import asyncio
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from . import _core, _current

Decide = Callable[[], Awaitable[object]]


def close_event(method: Callable[[Any], Coroutine[Any, Any, object]]) -> Callable[..., Any]:
    """Makes a coroutine method the `closeEvent` of a QWidget's class::

        class Editor(QMainWindow):
            @qtloop.close_event
            async def closeEvent(self) -> bool:
                return not self.is_modified or await self.save()

    The window stays open while it runs. If it returns False, the window remains so; if it returns
    anything else, None too, the window is closed, and the base class's `closeEvent` gets that
    event. There is one run at a time: further attempts to close the window meanwhile are ignored.
    The coroutine gets no event: Qt's is gone by then.

    What it raises goes to the loop's exception handler, and the window remains open. If the window
    is destroyed meanwhile, the coroutine is cancelled. If its task is cancelled otherwise, the
    program is about to end: from then on that loop asks no more, and the window closes at the next
    attempt. If no loop runs when the event comes, the window closes at once: nothing could await
    the answer.

    `QApplication.quit()` asks every window in Qt 6. The first window that stays open, even if only
    to think it over, stops the quit, and Qt does not resume it. But Qt quits by itself when the
    last window closes. The end of a session is delayed in the same way. Qt 5 quits without asking.

    From Python, call it without an event to get the coroutine: `await super().closeEvent()`.

    Raises TypeError if the method takes more than `self`.
    """
    try:
        inspect.signature(method).bind(None)
    except TypeError:
        name = getattr(method, "__qualname__", repr(method))
        raise TypeError(
            f"close_event() takes a method with self alone, not {name}{inspect.signature(method)}: "
            "there is no event to ignore, return False to keep the window open"
        ) from None

    @functools.wraps(method)
    def closeEvent(window: Any, event: Any = None) -> Any:
        if event is None:
            return method(window)
        return _core.enter(decide, window, event)

    def decide(window: Any, event: Any) -> None:
        event.ignore()
        if _closing(window).allows(window, lambda: method(window)):
            event.accept()
            _base_close_event(window, closeEvent, event)

    return closeEvent


class _Closing:
    """Whether a window may close."""

    def __init__(self) -> None:
        self._may_close = False
        self._is_gone = False
        self._task: asyncio.Task[object] | None = None
        #: The token of the question that counts.
        self._asked: object = None
        #: The task's done callback.
        self._decided: Callable[[asyncio.Task[object]], object] | None = None
        #: The loop that has cancelled the question, and so is about to end.
        self._ending_loop: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def allows(self, window: Any, decide: Decide) -> bool:
        """Whether the window may close now. If not, the question is asked, unless it is being asked
        already.

        Does not raise: Qt calls it.
        """
        if self._may_close:
            return True
        loop = _current.running() or _current.guest()
        if loop is None or (self._ending_loop is not None and self._ending_loop() is loop):
            return True
        if self._task is None or self._task.get_loop() is not loop:
            # If the handler of a signal comes in between, another task is made, and this one asks
            # nothing.
            asked = self._asked = object()
            self._decided = None
            self._task = loop.create_task(self._decision(asked, decide))
        if self._decided is None:
            self._decided = functools.partial(self._decide, window)
        self._task.remove_done_callback(self._decided)
        self._task.add_done_callback(self._decided)
        return False

    def destroyed(self) -> None:
        """Whether the window is the one."""
        self._is_gone = True
        if self._task is not None and not self._task.get_loop().is_closed():
            self._task.cancel()

    async def _decision(self, asked: object, decide: Decide) -> object:
        """Delays what calling `decide` may raise until the task runs: Qt must not get it."""
        return self._asked is not asked or await decide()

    def _decide(self, window: Any, task: asyncio.Task[object]) -> None:
        if self._task is not task:  # The callback was added twice.
            return
        loop = task.get_loop()
        self._task = self._decided = None
        if task.cancelled():
            # Else it was a CancelledError of something that the coroutine awaited. That decides
            # nothing.
            if task.cancelling():
                self._ending_loop = weakref.ref(loop)
        elif (error := task.exception()) is not None:
            message = f"Exception while a {type(window).__name__} was to be closed"
            loop.call_exception_handler({"message": message, "exception": error, "task": task})
        elif task.result() is not False and not self._is_gone:
            self._may_close = True
            try:
                window.close()
            finally:
                self._may_close = False


def _closing(window: Any) -> _Closing:
    """The state of the window, kept with it."""
    closing = getattr(window, "_qtloop_closing", None)
    if closing is None:
        closing = _Closing()
        # The garbage collector may clear what belongs to a window before it clears the window, and
        # the window may then call what is left. An Entrance can be called in that state. The
        # collector does not see what PySide refers to, so there is only a weak reference.
        window.destroyed.connect(
            _core.Entrance(functools.partial(_destroyed, weakref.ref(closing)))
        )
        window._qtloop_closing = closing
    return cast(_Closing, closing)


def _destroyed(closing: "weakref.ref[_Closing]", *_: object) -> None:
    if (found := closing()) is not None:
        found.destroyed()


def _base_close_event(window: Any, ours: Any, event: Any) -> None:
    """Calls the `closeEvent` that `ours` overrides."""
    bases: tuple[type, ...] = type(window).__mro__
    for cls in bases:
        if cls.__dict__.get("closeEvent") is ours:
            super(cls, window).closeEvent(event)  # type: ignore[arg-type]
            return

"""The end of the interpreter while a loop runs in another thread than the main one.

Python lets a daemon thread stand where it is, and ends it when it next wants the GIL. Inside Qt that is no
place to end a thread: the frames there cannot be unwound, and the bindings delete the objects that it uses.
So the loop leaves Qt first, and then waits for ever, as any daemon thread does.
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._loop import EventLoop

#: Seconds that a loop has to leave Qt. It needs them only if a callback does not return.
PATIENCE: Final = 1

#: The loops that run in other threads, each with what is set when it has left Qt.
_running: dict["EventLoop", threading.Event] = {}
_is_ending = False


@contextmanager
def leaves_at_exit(loop: "EventLoop") -> Iterator[None]:
    """Around a run of Qt's event loop. If the interpreter ends meanwhile, the run is stopped and this never
    returns; in the main thread that cannot be."""
    if threading.get_ident() == threading.main_thread().ident:
        yield
        return
    if not _running:  # Functions are called in reverse order: before the binding's, which it has by now.
        atexit.unregister(_halt)
        atexit.register(_halt)
    _running[loop] = threading.Event()
    try:
        yield
    finally:
        left = _running.pop(loop, None)
        if _is_ending:
            if left is not None:
                left.set()
            threading.Event().wait()


def _halt() -> None:
    global _is_ending
    _is_ending = True
    running = list(_running.items())
    for loop, _ in running:
        with suppress(RuntimeError):  # It has just been closed.
            loop.call_soon_threadsafe(loop.stop)
    for _, left in running:
        left.wait(PATIENCE)


os.register_at_fork(after_in_child=_running.clear)

"""The environment variable by which a program's loops answer `python -m qtloop.inspect`."""

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._loop import EventLoop

#: If it is 1, each loop listens from its first run until it is closed.
VARIABLE: Final = "QTLOOP_INSPECT"


def listen_if_asked(loop: "EventLoop") -> None:
    """As `qtloop.inspector.listen`, if the environment asks for it. If the inspector cannot be
    started, the program runs without it."""
    if os.environ.get(VARIABLE) != "1" or loop._end_listening is not None:
        return
    from . import _watchdog
    from .inspector import _listen

    try:
        _listen.listen(loop)
    except (OSError, RuntimeError) as error:
        _watchdog.logger.warning("%s=1, but nobody can inspect this program: %s", VARIABLE, error)

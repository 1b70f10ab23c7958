"""Looks into a program that runs on qtloop: tasks, timers, fds, transports, and who blocks.

In the program::

    qtloop.inspector.show()  # a window
    qtloop.inspector.install_shortcut()  # the same by Ctrl+Shift+I
    qtloop.inspector.snapshot()  # for the program itself

From outside, `python -m qtloop.inspect PID`, once the program has called
`qtloop.inspector.listen()` or was started with `QTLOOP_INSPECT=1`. For a monitoring system there is
`qtloop.inspector.prometheus()`.
"""

from ._listen import Listening, listen
from ._model import Blocker, Frame, Snapshot, Task, Timer, Transport, WatchedFd
from ._prometheus import prometheus
from ._show import install_shortcut, show
from ._snapshot import snapshot

__all__ = [
    "Blocker",
    "Frame",
    "Listening",
    "Snapshot",
    "Task",
    "Timer",
    "Transport",
    "WatchedFd",
    "install_shortcut",
    "listen",
    "prometheus",
    "show",
    "snapshot",
]

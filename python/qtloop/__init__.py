"""asyncio inside Qt's event loop.

A program of its own::

    qtloop.run(main())

A runner, a test plug-in or a server that wants a loop factory::

    asyncio.Runner(loop_factory=qtloop.new_event_loop)

An application that runs Qt's event loop itself::

    with qtloop.attach():
        app.exec()

Scripts that still set a policy::

    qtloop.install()
"""

from . import _core, _current, _hooks, _transports
from ._attach import Attachment, attach
from ._awaitables import finished
from ._closing import close_event
from ._current import current
from ._dialogs import opened
from ._executor import ThreadPoolExecutor
from ._lifetime import create_task
from ._loop import EventLoop
from ._metrics import Histogram, Metrics
from ._operations import QtError, completed
from ._run import EventLoopPolicy, install, new_event_loop, run
from ._signals import Emission, Emissions, EmissionsOverflow, SenderDestroyed, emissions, emitted
from ._slots import slot

__all__ = [
    "Attachment",
    "Emission",
    "Emissions",
    "EmissionsOverflow",
    "EventLoop",
    "EventLoopPolicy",
    "Histogram",
    "Metrics",
    "QtError",
    "SenderDestroyed",
    "ThreadPoolExecutor",
    "attach",
    "close_event",
    "completed",
    "create_task",
    "current",
    "emissions",
    "emitted",
    "finished",
    "install",
    "new_event_loop",
    "opened",
    "run",
    "slot",
]
__version__ = "0.1.0"

_core.use_modules(_hooks, _transports, _current)
_hooks.warn_of_newer()

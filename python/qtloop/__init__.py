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

from . import _asyncio_hooks, _core, _current, _transport_reports
from ._attach import Attachment, attach
from ._close_event import close_event
from ._completed import QtError, completed
from ._dialogs import opened
from ._finished import finished
from ._loop import EventLoop
from ._metrics import Histogram, Metrics
from ._owned_tasks import create_task
from ._qt_signals import Emission, Emissions, EmissionsOverflow, SenderDestroyed, emissions, emitted
from ._run import EventLoopPolicy, install, new_event_loop, run
from ._slots import slot
from ._thread_pool import ThreadPoolExecutor

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

_core.use_modules(_asyncio_hooks, _transport_reports, _current)
_asyncio_hooks.warn_of_newer()

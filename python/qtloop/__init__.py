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

from typing import TYPE_CHECKING, Any

from . import _asyncio_hooks, _core, _current, _transport_reports
from ._attach import Attachment, attach
from ._current import current
from ._loop import EventLoop
from ._owned_tasks import create_task
from ._run import EventLoopPolicy, install, new_event_loop, run

if TYPE_CHECKING:
    from ._close_event import close_event
    from ._completed import QtError, completed
    from ._dialogs import opened
    from ._finished import finished
    from ._metrics import Histogram, Metrics
    from ._qt_signals import (
        Emission,
        Emissions,
        EmissionsOverflow,
        SenderDestroyed,
        emissions,
        emitted,
    )
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

if not TYPE_CHECKING:  # Else a type checker would let every name pass.

    def __getattr__(name: str) -> Any:
        """A name that a loop does not need: its module is imported when a program uses the name.
        Each import is a statement of its own: tools that freeze programs follow such statements,
        and some of them take `TYPE_CHECKING` for false."""
        match name:
            case "close_event":
                from . import _close_event as module
            case "QtError" | "completed":
                from . import _completed as module
            case "opened":
                from . import _dialogs as module
            case "finished":
                from . import _finished as module
            case "Histogram" | "Metrics":
                from . import _metrics as module
            case (
                "Emission"
                | "Emissions"
                | "EmissionsOverflow"
                | "SenderDestroyed"
                | "emissions"
                | "emitted"
            ):
                from . import _qt_signals as module
            case "slot":
                from . import _slots as module
            case "ThreadPoolExecutor":
                from . import _thread_pool as module
            case _:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(module, name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext qtloop`: cells of IPython in a terminal may await anything on a loop of qtloop,
    while Qt's windows live, also at the prompt. Makes a QApplication if there is none.

    In the kernel of `python -m qtloop.notebook` all this is so from the start, and it does nothing.

    Raises RuntimeError in another Jupyter kernel, whose loop cannot be changed any more, and if a
    loop of qtloop is attached already; ImportError if no Qt binding is installed. Call it in the
    main thread.
    """
    from .notebook import _extension

    _extension.load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext qtloop`: cancels the loop's tasks, closes it, and restores IPython. In a kernel
    it does nothing. Call it in the main thread.

    Raises RuntimeError from within a task of the loop. A cell that awaits is such a task.
    """
    from .notebook import _extension

    _extension.unload(ipython)


_core.use_modules(_asyncio_hooks, _transport_reports, _current)
_asyncio_hooks.warn_of_newer()

"""`%load_ext qtloop`."""

from typing import Any, Final

from .. import _current
from .._loop import EventLoop
from ._terminal import Session

_ADVICE: Final = (
    "the asyncio loop of this kernel is not qtloop's: run `python -m qtloop.notebook install` and "
    'choose the kernel "Python 3 (qtloop)"'
)

#: The session of this process's shell.
_session: Session | None = None


def load(shell: Any) -> None:
    """As `qtloop.load_ipython_extension`."""
    global _session
    if getattr(shell, "kernel", None) is not None:
        if not isinstance(_current.running(), EventLoop):
            raise RuntimeError(_ADVICE)
    elif not hasattr(shell, "active_eventloop"):
        raise RuntimeError("qtloop can be loaded in the terminal's IPython and in a Jupyter kernel")
    elif _session is None:
        session = Session(shell)
        session.load()
        _session = session


def unload(shell: Any) -> None:
    """As `qtloop.unload_ipython_extension`."""
    global _session
    session, _session = _session, None
    if session is not None:
        session.unload()

"""asyncio inside Tk's event loop. `python -m examples.hosts.tk` opens a window."""

from .host import TkHost

__all__ = ["TkHost"]

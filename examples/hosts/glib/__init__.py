"""asyncio inside GLib's main loop. `python -m examples.hosts.glib` opens a window of GTK's."""

from .host import GLibHost

__all__ = ["GLibHost"]

"""Exceptions of slots. Bindings pass them to `sys.excepthook`; PyQt ends the process if nobody has
replaced that."""

import sys
import threading
from typing import Any


class Shown:
    """A `sys.excepthook` that shows an exception as IPython shows the exception of a cell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._before = sys.excepthook

    def __call__(self, kind: Any, error: Any, traceback: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            self._shell.showtraceback((kind, error, traceback))
        else:
            self._before(kind, error, traceback)

    def install(self) -> None:
        """Installs it. For the main thread."""
        self._before = sys.excepthook
        sys.excepthook = self

    def remove(self) -> None:
        """Restores the one before, unless somebody else has installed another one since."""
        if sys.excepthook is self:
            sys.excepthook = self._before

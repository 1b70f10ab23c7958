"""A nested event loop, as `QDialog.exec()` runs one."""

from qtloop import _qt

from .loops import qt_core


class Nested:
    """A nested event loop, with a way out that does not depend on asyncio, so that a failure is no
    hang."""

    def __init__(self, patience_ms: int = 5_000) -> None:
        self.loop = qt_core.QEventLoop()
        self.timed_out = False
        self._patience_ms = patience_ms

    def exec(self) -> None:
        guard = qt_core.QTimer()
        guard.setSingleShot(True)
        guard.timeout.connect(self._give_up)
        guard.start(self._patience_ms)
        _qt.execute(self.loop)
        guard.stop()
        assert not self.timed_out, "nothing ended the nested loop"

    def quit(self) -> None:
        self.loop.quit()

    def _give_up(self) -> None:
        self.timed_out = True
        self.loop.quit()

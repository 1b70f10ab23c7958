"""An ipykernel kernel whose asyncio loop is qtloop's. A cell may await, or wait in a dialog's
`exec()`. Windows live in both cases, and between cells."""

import asyncio
import contextlib
import contextvars
import signal
from collections.abc import Iterator, Sequence
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from .._loop import EventLoop
from ._application import ensure_application, kept_running
from ._errors import Shown
from ._interrupts import Interrupt


class KernelLoop(EventLoop):
    """A loop that only its `stop` ends, which the kernel calls at its end. A quit of the
    application does not end it, and neither does an interrupt that came too late for its cell."""

    def run_forever(self) -> None:
        """Runs Qt's event loop until `stop()`."""
        while True:
            try:
                super().run_forever()
            except KeyboardInterrupt:
                if self._awaited is not None:
                    raise
            else:
                if self._exit_code is None or self._awaited is not None:
                    return


class Kernel(IPythonKernel):  # type: ignore[misc,unused-ignore]
    """The kernel. Interrupts end the dialogs of a cell too."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if self.shell is not None:
            let_qt_be(self.shell)

    def pre_handler_hook(self) -> None:
        """Called before a message of a client is handled."""
        super().pre_handler_hook()
        signal.signal(signal.SIGINT, Interrupt())

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        """Surrounds a cell that awaits. An interrupt cancels the cell, and ends the dialogs that it
        has opened by `exec()`."""
        with super()._cancel_on_sigint(future):
            cancel: Any = signal.getsignal(signal.SIGINT)
            interrupt = Interrupt()

            def handle(number: int, frame: Any) -> None:
                interrupt.end_nested_loops()
                cancel(number, frame)

            signal.signal(signal.SIGINT, handle)
            yield


def let_qt_be(shell: Any) -> None:
    """`%gui qt` and `%matplotlib qt` have nothing to do: Qt's event loop runs."""
    enable_gui = shell.enable_gui

    def enable_other_gui(gui: str | None = None) -> None:
        if not (gui or "").startswith("qt"):
            enable_gui(gui)

    shell.enable_gui = enable_other_gui


def main(arguments: Sequence[str]) -> int:
    """Runs the kernel until it is told to shut down. For the main thread. Returns the exit code."""
    with kept_running(ensure_application()), asyncio.Runner(loop_factory=KernelLoop) as runner:
        asyncio.set_event_loop(runner.get_loop())
        application = IPKernelApp.instance(kernel_class=Kernel)
        # In a context of its own: ipykernel notes in the context which cell prints, and none at
        # first. A slot runs in this context, where nothing is noted. So its output belongs to the
        # last cell.
        contextvars.copy_context().run(application.initialize, [*arguments])
        Shown(application.shell).install()
        application.start()
        # The rest is not an application's main loop.
        loop: Any = runner.get_loop()
        loop._drains = True
    return 0

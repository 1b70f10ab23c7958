"""qtloop in IPython in a terminal: a loop that is attached as long as the session lasts."""

import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from .. import _qt
from .._attach import attach
from ._application import ensure_application, kept_running
from ._errors import Shown
from ._interrupts import Interrupt

#: The name of the loop runner and the input hook in IPython: `%autoawait qtloop`, `%gui qtloop`.
NAME: Final = "qtloop"


class Session:
    """From `%load_ext qtloop` to `%unload_ext qtloop`. For the main thread.

    A prompt runs a loop of IPython, and ours is a guest in it. While a cell runs IPython's loop
    does not run, so `asyncio.run` works in a cell as usual.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._qt_core = _qt.core()
        self._undo = contextlib.ExitStack()
        #: What the start of a cell without `await` has changed.
        self._cell = contextlib.ExitStack()
        self._is_awaiting = False

    def load(self) -> None:
        """Attaches the loop, and makes IPython use it. Raises RuntimeError if a loop of qtloop runs
        in this thread already."""
        shell = self._shell
        with contextlib.ExitStack() as undo:
            self._application = ensure_application()
            undo.enter_context(kept_running(self._application))
            attachment = attach(guest=True)
            undo.callback(attachment.close)
            self._loop = attachment.open()
            shown = Shown(shell)
            undo.callback(shown.remove)
            shown.install()
            undo.callback(self._forget_runner, shell.loop_runner, shell.autoawait)
            shell.loop_runner_map[NAME] = (self.run, True)
            shell.loop_runner, shell.autoawait = self.run, True
            for event, function in (
                ("pre_run_cell", self._begin_cell),
                ("post_run_cell", self._end_cell),
            ):
                shell.events.register(event, function)
                undo.callback(shell.events.unregister, event, function)
            self._use_input_hook(undo)
            self._undo = undo.pop_all()

    def unload(self) -> None:
        """Undoes `load`: cancels the loop's tasks, and closes it."""
        self._cell.close()
        self._undo.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs what a cell awaits, while Qt's event loop runs. It is IPython's loop runner."""
        task = self._loop.create_task(coroutine)
        interrupts: list[int] = []
        interrupt = Interrupt()
        interrupt.leave_one_loop()

        def cancel(number: int, frame: Any) -> None:
            interrupts.append(number)
            interrupt.end_nested_loops()
            self._loop.call_soon_threadsafe(task.cancel)

        # IPython announces the beginning of the cell only when the cell runs.
        self._is_awaiting = True
        try:
            with self._interrupted_by(cancel):
                self._turn(task.add_done_callback, task.done)
        finally:
            self._is_awaiting = False
        if task.cancelled() and interrupts:
            raise KeyboardInterrupt
        return task.result()

    def wait_for_input(self, context: Any) -> None:
        """Runs Qt's event loop until the user types. It is IPython's input hook."""
        kinds = getattr(self._qt_core.QSocketNotifier, "Type", self._qt_core.QSocketNotifier)
        notifier = self._qt_core.QSocketNotifier(context.fileno(), kinds.Read)
        try:
            self._turn(notifier.activated.connect, context.input_is_ready)
        finally:
            notifier.setEnabled(False)

    def _turn(self, on_end: Callable[[Any], object], is_over: Callable[[], bool]) -> None:
        """Runs an event loop of Qt until it is told to end. A quit of the application does not end
        it."""
        event_loop = self._qt_core.QEventLoop()
        on_end(lambda *_: event_loop.quit())
        while not is_over():
            _qt.execute(event_loop)
            if not is_over():
                self._forget_quit()

    def _turn_once(self) -> None:
        """Called after a cell that may have quit the application. The next dialog must not end at
        once."""
        event_loop = self._qt_core.QEventLoop()
        self._qt_core.QTimer.singleShot(0, event_loop.quit)
        if _qt.execute(event_loop) != 0:
            self._forget_quit()

    def _forget_quit(self) -> None:
        """Qt ends every event loop of a thread that quits, until the application's own loop has
        ended."""
        if self._qt_core.QThread.currentThread().loopLevel() == 0:
            self._qt_core.QTimer.singleShot(0, self._qt_core.QCoreApplication.quit)
            _qt.execute(self._application)

    def _begin_cell(self, *_: object) -> None:
        if not self._is_awaiting:
            self._cell.close()
            self._cell.enter_context(self._interrupted_by(Interrupt()))

    def _end_cell(self, *_: object) -> None:
        self._cell.close()
        if not self._is_awaiting:
            self._turn_once()

    @contextlib.contextmanager
    def _interrupted_by(self, handler: Callable[[int, Any], None]) -> Iterator[None]:
        """Meanwhile SIGINT wakes Qt's event loop, if that runs, and calls the handler."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, handler)
        fd = signal.set_wakeup_fd(self._loop._csock.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd)
            signal.signal(signal.SIGINT, before)

    def _forget_runner(self, runner: Any, autoawait: bool) -> None:
        shell = self._shell
        shell.loop_runner_map.pop(NAME, None)
        if shell.loop_runner == self.run:
            shell.loop_runner, shell.autoawait = runner, autoawait

    def _use_input_hook(self, undo: contextlib.ExitStack) -> None:
        """Called at the prompt. `%gui qt` has nothing to do then: the loop is there."""
        shell = self._shell
        hooks = importlib.import_module("IPython.terminal.pt_inputhooks")
        hooks.register(NAME, self.wait_for_input)
        undo.callback(hooks.registered.pop, NAME, None)
        if shell.active_eventloop is not None:
            shell.enable_gui(None)
        shell.enable_gui(NAME)
        undo.callback(self._forget_input_hook)

    def _forget_input_hook(self) -> None:
        if self._shell.active_eventloop == NAME:
            self._shell.enable_gui(None)

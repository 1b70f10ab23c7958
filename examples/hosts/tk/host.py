"""A host for Tcl's event loop, which is Tk's: timer handlers and file handlers of the thread's
interpreter.

    root = tkinter.Tk()
    qtloop.run(main(root), host=TkHost(root))

or, in a program that calls `root.mainloop()` itself::

    with qtloop.attach(host=TkHost(root)):
        root.mainloop()

What is given to Tk are the loop's own callables, which are no Python functions: tkinter notes what
a Python function raises, a signal's handler for example, and then the event is lost.
"""

import _tkinter
import errno
import functools
import threading
import time
import tkinter
import weakref
from typing import Any

from qtloop.hosts import READ, WRITE, Report, Reporter

#: Tcl waits by select(2), whose sets are of a fixed size. A number behind their end would overwrite
#: memory.
MOST_FDS = 1024

#: Tk paints when it has nothing else to do. A loop that is always armed leaves it a pause after
#: each of these stretches, in seconds.
STRETCH = 0.016
#: And is taken for busy if it is armed again within this time.
BUSY = 0.004

_thread = threading.local()


def interpreter() -> Any:
    """A Tcl interpreter of this thread, without windows. It has the event loop of every other one
    here, and stays when the last window is gone. It must not be freed in another thread, so the
    thread keeps it."""
    if not hasattr(_thread, "tcl"):
        _thread.tcl = tkinter.Tcl()
    return _thread.tcl.tk


class TkHost:
    """Tcl's event loop in the thread that starts it.

    When `root` is destroyed, the application has quit: `qtloop.run` cancels its task, which may
    still clean up. Without a root, that never comes.
    """

    name = "tk"

    def __init__(self, root: tkinter.Misc | None = None) -> None:
        self._root = root
        self._is_gone = False
        self._runs: list[_Run] = []
        self._watched: set[int] = set()
        self._forget()
        if root is not None:
            root.bind("<Destroy>", functools.partial(_note_destroyed, weakref.ref(self)), "+")

    def _forget(self) -> None:
        self._tk: Any = None
        self._reporter: Reporter | None = None
        self._ready: Report | None = None
        self._due: Report | None = None
        self._ready_timer: Any = None
        self._due_timer: Any = None
        self._armed_at = self._busy_since = 0.0

    def start(self, reporter: Reporter) -> None:
        self._tk = interpreter()
        self._reporter = reporter
        self._ready, self._due = reporter.ready(), reporter.deadline()

    def stop(self) -> None:
        if self._tk is None:
            return
        self.disarm()
        self.set_deadline(None)
        for fd in [*self._watched]:
            self.watch(fd, 0)
        self._forget()

    def run(self, drain: bool) -> int:
        run = _Run()
        self._runs.append(run)
        tk, painted = self._tk, time.monotonic()
        try:
            while not run.has_quit and (drain or not self._is_gone):
                tk.dooneevent(0)
                # A descriptor that is always ready leaves Tk no time to paint either.
                if time.monotonic() - painted > STRETCH and not run.has_quit:
                    tk.dooneevent(_tkinter.IDLE_EVENTS | _tkinter.DONT_WAIT)
                    painted = time.monotonic()
        finally:
            self._runs.remove(run)
        return 0

    def quit(self) -> None:
        if self._runs:
            self._runs[-1].has_quit = True
        else:
            self._tk.quit()  # Ends the innermost `mainloop`.

    def arm(self) -> None:
        # A new timer each time: it fires although the one before is still being handled.
        self.disarm()
        self._ready_timer = self._tk.createtimerhandler(self._pause(), self._ready)

    def disarm(self) -> None:
        if self._ready_timer is not None:
            self._ready_timer.deletetimerhandler()
            self._ready_timer = None

    def set_deadline(self, milliseconds: int | None) -> None:
        if self._due_timer is not None:
            self._due_timer.deletetimerhandler()
            self._due_timer = None
        if milliseconds is not None:
            # Tcl looks at the time of day, in microseconds, and rounds what it is now down.
            self._due_timer = self._tk.createtimerhandler(milliseconds, self._due)

    def watch(self, fd: int, interest: int) -> None:
        if fd in self._watched:
            self._tk.deletefilehandler(fd)
            self._watched.discard(fd)
        if not interest:
            return
        if fd >= MOST_FDS:
            raise OSError(
                errno.EMFILE, f"Tcl cannot watch the file descriptor {fd}: it uses select()"
            )
        self._watched.add(fd)
        self._tk.createfilehandler(fd, *self._handler(fd, interest))

    def _handler(self, fd: int, interest: int) -> tuple[int, Any]:
        assert self._reporter is not None
        readable, writable = self._reporter.readable(fd), self._reporter.writable(fd)
        if interest == READ:
            return tkinter.READABLE, readable
        if interest == WRITE:
            return tkinter.WRITABLE, writable

        # Python code after all. If an exception of a signal's handler takes its place, Tk just
        # calls it again, as the descriptor is still ready.
        def either(_: object, mask: int) -> None:
            if mask & tkinter.READABLE:
                readable()
            if mask & tkinter.WRITABLE and fd in self._watched:
                writable()

        return tkinter.READABLE | tkinter.WRITABLE, either

    def _pause(self) -> int:
        """The milliseconds until the loop has its next turn."""
        now = time.monotonic()
        if now - self._armed_at > BUSY:
            self._busy_since = now  # Tk had its time.
        self._armed_at = now
        if now - self._busy_since < STRETCH:
            return 0
        self._busy_since = now
        return 1


class _Run:
    """One `run` on the stack."""

    def __init__(self) -> None:
        self.has_quit = False


def _note_destroyed(host: "weakref.ref[TkHost]", event: "tkinter.Event[tkinter.Misc]") -> None:
    found = host()
    if found is not None and event.widget is found._root:
        found._is_gone = True

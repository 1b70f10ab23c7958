"""A host for GLib's main loop, by ctypes: no PyGObject is needed, and every Python can have it.

    qtloop.run(main(), host=GLibHost())

or, in a program that runs GTK itself::

    with qtloop.attach(host=GLibHost(quit=Gtk.main_quit)):
        Gtk.main()

What GLib calls is made of C functions alone, see `_calls`: ctypes prints what a Python function
raises, a signal's handler for example, and then the event is lost.
"""

import ctypes
import ctypes.util
import functools
import itertools
import operator
import threading
from collections.abc import Callable
from typing import Any, Final

from qtloop.hosts import READ, WRITE, Report, Reporter

glib: Any = ctypes.CDLL(ctypes.util.find_library("glib-2.0") or "libglib-2.0.so.0")

#: Behind everything that GTK does by itself: it paints at 120.
PRIORITY_DEFAULT_IDLE: Final = 200
IN, OUT, ERR, HUP = 1, 4, 8, 16
CONDITIONS: Final = {READ: IN | ERR | HUP, WRITE: OUT | ERR | HUP}

_pointer = ctypes.c_void_p
#: A `GSourceFunc`, or any other whose arguments do not matter; the result says whether the source
#: stays.
SourceFunc = ctypes.CFUNCTYPE(ctypes.c_int, _pointer)

for _name, _result, *_arguments in (
    ("g_main_context_default", _pointer),
    ("g_main_context_get_thread_default", _pointer),
    ("g_main_context_new", _pointer),
    ("g_main_context_unref", None, _pointer),
    ("g_main_context_push_thread_default", None, _pointer),
    ("g_main_context_pop_thread_default", None, _pointer),
    ("g_main_context_iteration", ctypes.c_int, _pointer, ctypes.c_int),
    ("g_idle_source_new", _pointer),
    ("g_timeout_source_new", _pointer, ctypes.c_uint),
    ("g_unix_fd_source_new", _pointer, ctypes.c_int, ctypes.c_int),
    ("g_source_set_callback", None, _pointer, SourceFunc, _pointer, _pointer),
    ("g_source_set_priority", None, _pointer, ctypes.c_int),
    ("g_source_set_can_recurse", None, _pointer, ctypes.c_int),
    ("g_source_attach", ctypes.c_uint, _pointer, _pointer),
    ("g_source_destroy", None, _pointer),
    ("g_source_unref", None, _pointer),
):
    getattr(glib, _name).restype, getattr(glib, _name).argtypes = _result, _arguments


def _calls(report: Report, stays: bool) -> Any:
    """A C function that calls `report` and returns `stays`, without any Python code.

    The report returns None. `is` makes True of that and `is not` False; `map` puts the two
    together, and `next` has them called.
    """
    test = operator.is_ if stays else operator.is_not
    none = itertools.repeat(None)
    return SourceFunc(functools.partial(next, map(test, map(report, none), none)))


class GLibHost:
    """The main context of the thread that starts it: GLib's default one in the main thread, where
    GTK lives.

    `quit` ends the program's own main loop, if that is what runs: `Gtk.main_quit` or `loop.quit`.
    When the program calls `leave`, because its last window is closed for example, the application
    has quit: `qtloop.run` cancels its task, which may still clean up.
    """

    name = "glib"

    def __init__(
        self, *, quit: Callable[[], object] | None = None, priority: int = PRIORITY_DEFAULT_IDLE
    ) -> None:
        self._quit_program = quit
        self._priority = priority
        self._runs: list[_Run] = []
        self._forget()

    def _forget(self) -> None:
        self._context: int | None = None
        #: The context is ours, and not one that the thread has had.
        self._is_own = False
        self._reporter: Reporter | None = None
        self._ready: Any = None
        self._due: Any = None
        self._ready_source: int | None = None
        self._due_source: int | None = None
        #: For each fd the sources of its directions.
        self._watches: dict[int, list[int]] = {}
        #: What these call. They stay: a call may be under way when its watch ends.
        self._functions: dict[tuple[int, int], Any] = {}

    def leave(self) -> None:
        """The program quits."""
        for run in self._runs:
            run.is_left = True

    def start(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._ready, self._due = _calls(reporter.ready(), False), _calls(reporter.deadline(), False)
        self._context = glib.g_main_context_get_thread_default()
        if self._context is None:
            is_main = threading.current_thread() is threading.main_thread()
            self._context = glib.g_main_context_default() if is_main else self._own_context()

    def _own_context(self) -> int:
        context: int = glib.g_main_context_new()
        self._is_own = True
        glib.g_main_context_push_thread_default(context)
        return context

    def stop(self) -> None:
        self.disarm()
        self.set_deadline(None)
        for fd in [*self._watches]:
            self.watch(fd, 0)
        if self._is_own:
            glib.g_main_context_pop_thread_default(self._context)
            glib.g_main_context_unref(self._context)
        self._forget()

    def run(self, drain: bool) -> int:
        run = _Run()
        self._runs.append(run)
        context, iterate = self._context, glib.g_main_context_iteration
        try:
            while not run.has_quit and (drain or not run.is_left):
                iterate(context, True)
        finally:
            self._runs.remove(run)
        return 0

    def quit(self) -> None:
        if self._runs:
            self._runs[-1].has_quit = True
        elif self._quit_program is not None:
            self._quit_program()

    def arm(self) -> None:
        # A new source each time: GLib does not call one that is still being handled.
        self.disarm()
        self._ready_source = self._attached(glib.g_idle_source_new(), self._ready)

    def disarm(self) -> None:
        source, self._ready_source = self._ready_source, None
        self._destroy(source)

    def set_deadline(self, milliseconds: int | None) -> None:
        source, self._due_source = self._due_source, None
        self._destroy(source)
        if milliseconds is not None:
            self._due_source = self._attached(glib.g_timeout_source_new(milliseconds), self._due)

    def watch(self, fd: int, interest: int) -> None:
        for source in self._watches.pop(fd, ()):
            self._destroy(source)
        sources = [self._watch(fd, way) for way in (READ, WRITE) if interest & way]
        if sources:
            self._watches[fd] = sources

    def _watch(self, fd: int, way: int) -> int:
        if (fd, way) not in self._functions:
            assert self._reporter is not None
            report = self._reporter.readable(fd) if way == READ else self._reporter.writable(fd)
            self._functions[fd, way] = _calls(report, True)
        source: int = glib.g_unix_fd_source_new(fd, CONDITIONS[way])
        glib.g_source_set_can_recurse(source, True)
        return self._attached(source, self._functions[fd, way])

    def _attached(self, source: int, function: Any) -> int:
        glib.g_source_set_priority(source, self._priority)
        glib.g_source_set_callback(source, function, None, None)
        glib.g_source_attach(source, self._context)
        return source

    def _destroy(self, source: int | None) -> None:
        if source is not None:
            glib.g_source_destroy(source)
            glib.g_source_unref(source)


class _Run:
    """One `run` on the stack."""

    def __init__(self) -> None:
        self.has_quit = False
        self.is_left = False

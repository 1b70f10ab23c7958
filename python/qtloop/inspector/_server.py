"""The thread that answers questions from outside. A process has one thread for all its loops."""

import atexit
import contextlib
import json
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import _system
from . import _meeting
from ._answer import answer

if TYPE_CHECKING:
    from .._loop import EventLoop

#: Seconds that the sender waits for its answer to be read.
PATIENCE: Final = 5.0

_lock = threading.Lock()
_server: "Server | None" = None
_loops: "weakref.WeakSet[EventLoop]" = weakref.WeakSet()


def add(loop: "EventLoop") -> Path:
    """From now on the loop answers. Returns the path of the socket. Raises OSError if no socket can
    be made."""
    global _server
    with _lock:
        if _server is None:
            _server = Server()
        _loops.add(loop)
        return _server.path


def remove(loop: "EventLoop") -> None:
    """From now on the loop does not answer. The last loop removes the socket."""
    with _lock:
        _loops.discard(loop)
        if not _loops:
            _stop()


def _stop() -> None:
    global _server
    server, _server = _server, None
    if server is not None:
        server.stop()


def _forget() -> None:
    """In a forked child: the thread is the parent's, and so is the name of the socket."""
    global _lock, _server
    _lock = threading.Lock()
    server, _server = _server, None
    if server is not None:
        server.close()
    for loop in list(_loops):
        loop._end_listening = None
    _loops.clear()


class Server:
    """The listener and its thread."""

    def __init__(self) -> None:
        self._listener = _meeting.Listener()
        self.path = self._listener.path
        try:
            threading.Thread(target=self._serve, name="qtloop-inspect", daemon=True).start()
        except BaseException:
            self._listener.close()
            raise

    def stop(self) -> None:
        """Stops answering, and frees the name."""
        self._listener.stop()

    def close(self) -> None:
        """Closes only this process's part of it."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                if not self._listener.may_ask(connection):
                    continue
                with _lock:
                    loops = list(_loops)
                connection.sendall(json.dumps(answer(loops)).encode())


atexit.register(_stop)
_system.after_fork_in_child(_forget)

"""The thread that answers questions from outside. A process has one thread for all its loops."""

import atexit
import contextlib
import json
import os
import socket
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import _system
from . import _directory
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
    """The socket and its thread."""

    def __init__(self) -> None:
        directory = _directory.own()
        _directory.remove_stale(directory)
        self.path = _directory.socket_of(os.getpid(), directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
            threading.Thread(target=self._serve, name="qtloop-inspect", daemon=True).start()
        except BaseException:
            self._socket.close()
            raise

    def _bind(self) -> None:
        # The socket of a process that has ended and had our number.
        self.path.unlink(missing_ok=True)
        # On Linux the name has its mode from the start; and nobody else may enter the directory.
        os.fchmod(self._socket.fileno(), 0o600)
        self._socket.bind(str(self.path))
        os.chmod(self.path, 0o600)
        self._socket.listen()

    def stop(self) -> None:
        """Stops answering, and frees the name."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes the thread.
        self.close()

    def close(self) -> None:
        """Closes only this process's part of it."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                with _lock:
                    loops = list(_loops)
                connection.sendall(json.dumps(answer(loops)).encode())


atexit.register(_stop)
_system.after_fork_in_child(_forget)

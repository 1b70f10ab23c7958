"""A process listens at a Unix socket. Its name has the number of the process."""

import contextlib
import os
import socket

from . import _directory
from ._directory import is_alive

__all__ = ["Listener", "connect", "is_alive"]


class Listener:
    """The socket of this process. Raises OSError if it cannot be made."""

    def __init__(self) -> None:
        directory = _directory.own()
        _directory.remove_stale(directory)
        self.path = _directory.socket_of(os.getpid(), directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
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

    def accept(self) -> socket.socket:
        """The next connection. Raises OSError once it has stopped."""
        return self._socket.accept()[0]

    def may_ask(self, connection: socket.socket) -> bool:
        """Whether this user has connected: nobody else can."""
        return True

    def stop(self) -> None:
        """Frees the name, and wakes the thread that accepts."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        """Closes only this process's part of it."""
        self._socket.close()


def connect(pid: int, patience: float) -> socket.socket | None:
    """A connection to a process; None if it does not listen. Raises OSError if it fails
    otherwise."""
    path = _directory.find(pid)
    if path is None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience)
        connection.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection

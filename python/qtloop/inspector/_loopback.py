"""A process listens at a port of the loopback interface, where Python has no Unix sockets.

Every user of the machine can connect there. So who connects first sends a secret. It is in a file
that is named by the number of the process, with the port. The file is in the user's own folder for
local data, whose rights keep other users out.
"""

import contextlib
import hmac
import json
import os
import re
import secrets
import socket
from pathlib import Path
from typing import Any, Final

_NAME: Final = re.compile(r"(\d+)\.json")

#: The bytes of a secret.
_LENGTH: Final = 32


class Listener:
    """The port of this process. Raises OSError if there can be none."""

    def __init__(self) -> None:
        directory = _directory()
        directory.mkdir(parents=True, exist_ok=True)
        _remove_stale(directory)
        self.path = directory / f"{os.getpid()}.json"
        self._secret = secrets.token_bytes(_LENGTH)
        self._is_stopped = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        try:
            self._publish()
        except BaseException:
            self._socket.close()
            raise

    def _publish(self) -> None:
        # The file of a process that has ended and had our number.
        self.path.unlink(missing_ok=True)
        told = {"port": self._socket.getsockname()[1], "secret": self._secret.hex()}
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as file:
            json.dump(told, file)

    def accept(self) -> socket.socket:
        """The next connection. Raises OSError once it has stopped."""
        connection, _ = self._socket.accept()
        if self._is_stopped:
            connection.close()
            raise OSError("it has stopped")
        return connection

    def may_ask(self, connection: socket.socket) -> bool:
        """Whether this user has connected."""
        said = b""
        while len(said) < _LENGTH and (more := connection.recv(_LENGTH - len(said))):
            said += more
        return hmac.compare_digest(said, self._secret)

    def stop(self) -> None:
        """Frees the name, and wakes the thread that accepts."""
        self._is_stopped = True
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        # A socket that listens cannot be shut down on Windows. A connection wakes the thread.
        with contextlib.suppress(OSError):
            socket.create_connection(self._socket.getsockname(), 1).close()
        self.close()

    def close(self) -> None:
        """Closes only this process's part of it."""
        self._socket.close()


def connect(pid: int, patience: float) -> socket.socket | None:
    """A connection to a process; None if it does not listen. Raises OSError if it fails
    otherwise."""
    try:
        told: dict[str, Any] = json.loads((_directory() / f"{pid}.json").read_text())
        connection = socket.create_connection(("127.0.0.1", told["port"]), patience)
    except (FileNotFoundError, ConnectionRefusedError, ValueError):
        return None
    try:
        connection.sendall(bytes.fromhex(told["secret"]))
    except BaseException:
        connection.close()
        raise
    return connection


def is_alive(pid: int) -> bool:
    """Whether there is such a process. `os.kill` cannot say so on Windows: there it interrupts or
    ends the process."""
    import _winapi

    windows: Any = _winapi
    try:
        handle = windows.OpenProcess(windows.SYNCHRONIZE, False, pid)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    try:
        return bool(windows.WaitForSingleObject(handle, 0) == windows.WAIT_TIMEOUT)
    finally:
        windows.CloseHandle(handle)


def _directory() -> Path:
    local = os.environ.get("LOCALAPPDATA")
    return (Path(local) if local else Path.home() / "AppData" / "Local") / "qtloop"


def _remove_stale(directory: Path) -> None:
    """Removes the files of processes that have ended."""
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            name = _NAME.fullmatch(path.name)
            if name and not is_alive(int(name[1])):
                path.unlink(missing_ok=True)

"""Strangers: who gets a number as soon as it is free, and must not notice that somebody had it
before."""

import os
import socket
from typing import Any


class Stranger:
    """An open file of somebody else's: a socket by which it would hear, and which has something to
    be read.

    Given a number that is free, it takes that.
    """

    def __init__(
        self, number: int | None = None, kind: socket.SocketKind = socket.SOCK_STREAM
    ) -> None:
        end, self._other = socket.socketpair(socket.AF_UNIX, kind)
        if self._other.fileno() == number:
            end, self._other = self._other, end
        self._other.setblocking(False)
        if number is None or end.fileno() == number:
            self.number = end.detach()
        else:
            with end:
                os.dup2(end.fileno(), number)
            self.number = number
        self._identity = self._stat()
        self.send()

    def _stat(self) -> tuple[int, int]:
        stat = os.fstat(self.number)
        return stat.st_dev, stat.st_ino

    def send(self) -> None:
        """Makes the number readable."""
        self._other.send(b"mine")

    def heard(self) -> bytes | None:
        """What somebody has written to the number; None if nothing."""
        try:
            return self._other.recv(1 << 16)
        except BlockingIOError:
            return None

    def complaints(self) -> list[str]:
        """What was done to the number that was none of anybody's business."""
        complaints = []
        try:
            if self._stat() != self._identity:
                return [f"{self.number} was closed, and means another file"]
        except OSError:
            return [f"{self.number} was closed"]
        if (heard := self.heard()) is not None:
            complaints.append(f"{self.number} was written to or shut down: {heard[:20]!r}")
        os.set_blocking(self.number, False)
        try:
            if os.read(self.number, 4) != b"mine":
                complaints.append(f"{self.number} was read from")
        except BlockingIOError:
            complaints.append(f"{self.number} was read from")
        return complaints

    def leave(self) -> None:
        """Gives the number up, if that went well."""
        complaints = self.complaints()
        self._other.close()
        if not complaints or "closed" not in complaints[0]:
            os.close(self.number)
        assert not complaints, complaints

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            self.leave()


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

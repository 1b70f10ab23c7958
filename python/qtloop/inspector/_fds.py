"""The file descriptors that the loop watches."""

from typing import TYPE_CHECKING

from .. import _system
from . import _names
from ._model import WatchedFd

if TYPE_CHECKING:
    from .._loop import EventLoop


def collect(loop: "EventLoop", limit: int) -> tuple[list[WatchedFd], int]:
    """The fds in order, and how many were left out. The loop's own self-pipe is among them."""
    watched = sorted(loop._watched().items())
    found = [
        WatchedFd(
            fd,
            _system.kind_of_fd(fd),
            None if reader is None else _names.of_handle(reader),
            None if writer is None else _names.of_handle(writer),
        )
        for fd, (reader, writer) in watched[:limit]
    ]
    return found, len(watched) - len(found)

"""The parts of the loop that depend on the operating system, chosen here and nowhere else.

The inspector has its own choice, in `inspector/_meeting.py`.
"""

import sys
from typing import Final

if sys.platform == "win32":
    from ._windows import (
        OPERATIONS,
        TRANSPORTS,
        Loop,
        after_fork_in_child,
        default_policy,
        fd_of,
        kind_of_fd,
    )
else:
    from ._unix import (
        OPERATIONS,
        TRANSPORTS,
        Loop,
        after_fork_in_child,
        default_policy,
        fd_of,
        kind_of_fd,
    )

#: The major versions of Qt for which there is a native host. It is linked against the name that
#: Qt's library has on Linux.
NATIVE: Final[tuple[str, ...]] = () if sys.platform in ("win32", "darwin") else ("6",)

__all__ = [
    "NATIVE",
    "OPERATIONS",
    "TRANSPORTS",
    "Loop",
    "after_fork_in_child",
    "default_policy",
    "fd_of",
    "kind_of_fd",
]

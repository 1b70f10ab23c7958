"""How a process is found that can be asked, and how it is spoken with, on this operating system.

Each of the two modules has a `Listener`, which has a path and accepts connections; `connect`, which
returns a connection to a process, or None if it does not listen; and `is_alive`.
"""

import sys

if sys.platform == "win32":
    from ._loopback import Listener, connect, is_alive
else:
    from ._unix_socket import Listener, connect, is_alive

__all__ = ["Listener", "connect", "is_alive"]

"""asyncio inside Qt's event loop.

A program of its own::

    qtloop.run(main())

A runner, a test plug-in or a server that wants a loop factory::

    asyncio.Runner(loop_factory=qtloop.new_event_loop)

Scripts that still set a policy::

    qtloop.install()
"""

from ._loop import EventLoop
from ._run import EventLoopPolicy, install, new_event_loop, run

__all__ = ["EventLoop", "EventLoopPolicy", "install", "new_event_loop", "run"]
__version__ = "0.1.0"

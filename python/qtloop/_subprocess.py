"""Child processes, watched through a pidfd by the loop that started them, on whatever thread that runs."""

import contextlib
import os
import threading
from asyncio import events, log, unix_events
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._loop import EventLoop


_Threaded = getattr(unix_events, "_ThreadedChildWatcher", ())


def has_watcher(loop: "EventLoop") -> bool:
    """Whether asyncio's own watcher is to be used.

    That is one that the program has chosen, up to Python 3.13, or the one with threads that asyncio gives a
    loop where there is no pidfd, from Python 3.14."""
    policy = getattr(events, "_event_loop_policy", None)
    chosen = getattr(policy, "_watcher", None) is not None
    return chosen or isinstance(getattr(loop, "_watcher", None), _Threaded)


async def make_transport(
    loop: "EventLoop",
    protocol: Any,
    args: Any,
    shell: bool,
    stdin: Any,
    stdout: Any,
    stderr: Any,
    bufsize: int,
    extra: Any = None,
    **kwargs: Any,
) -> Any:
    """Starts a child and returns its transport once its pipes are connected."""
    waiter = loop.create_future()
    transport = unix_events._UnixSubprocessTransport(  # type: ignore[attr-defined]
        loop, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra, **kwargs
    )
    _watch(loop, transport)
    try:
        await waiter
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        transport.close()
        await transport._wait()
        raise
    return transport


def _watch(loop: "EventLoop", transport: Any) -> None:
    pid = transport.get_pid()
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # A kernel before 5.3, a sandbox that forbids it, or no fd left.
        threading.Thread(target=_wait, args=(loop, transport), name=f"waitpid-{pid}", daemon=True).start()
    else:
        loop._add_reader(pidfd, _exited, loop, transport, pidfd)


def _exited(loop: "EventLoop", transport: Any, pidfd: int) -> None:
    loop._remove_reader(pidfd)
    os.close(pidfd)
    _end(transport)


def _wait(loop: "EventLoop", transport: Any) -> None:
    # The loop reaps it: until the transport knows, nobody else may get the number that it kills by.
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, transport.get_pid(), os.WEXITED | os.WNOWAIT)
    if loop.is_closed():
        log.logger.warning("Loop %r that handles pid %r is closed", loop, transport.get_pid())
        _reap(transport.get_pid())
    else:
        loop.call_soon_threadsafe(_end, transport)


def _end(transport: Any) -> None:
    transport._process_exited(_reap(transport.get_pid()))


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        log.logger.warning("child process pid %d exit status already read:  will report returncode 255", pid)
        return 255
    return os.waitstatus_to_exitcode(status)

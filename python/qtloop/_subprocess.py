"""Child processes, watched through a pidfd by the loop that started them, on whatever thread that runs."""

import os
import threading
from asyncio import events, log, unix_events
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._loop import EventLoop


def has_watcher() -> bool:
    """Whether the program has set a child watcher of its own choice (up to Python 3.13), which then is
    used."""
    policy = events._event_loop_policy  # type: ignore[attr-defined]
    return getattr(policy, "_watcher", None) is not None


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
    except (OSError, AttributeError):  # A kernel before 5.3, a sandbox, no fd left; or a system without.
        threading.Thread(target=_wait, args=(loop, transport), name=f"waitpid-{pid}", daemon=True).start()
    else:
        loop._add_reader(pidfd, _exited, loop, transport, pidfd)


def _exited(loop: "EventLoop", transport: Any, pidfd: int) -> None:
    loop._remove_reader(pidfd)
    os.close(pidfd)
    transport._process_exited(_reap(transport.get_pid()))


def _wait(loop: "EventLoop", transport: Any) -> None:
    returncode = _reap(transport.get_pid())
    if loop.is_closed():
        log.logger.warning("Loop %r that handles pid %r is closed", loop, transport.get_pid())
    else:
        loop.call_soon_threadsafe(transport._process_exited, returncode)


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        log.logger.warning("child process pid %d exit status already read:  will report returncode 255", pid)
        return 255
    return os.waitstatus_to_exitcode(status)

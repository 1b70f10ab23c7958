"""Child processes. The loop that started them watches them by a pidfd, on whatever thread it runs.
Where there is no pidfd a thread waits for each child, as with asyncio."""

import contextlib
import inspect
import os
import threading
from asyncio import events, log, tasks, unix_events
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._unix import Loop


_Threaded = getattr(unix_events, "_ThreadedChildWatcher", ())


def has_watcher(loop: "Loop") -> bool:
    """Whether asyncio's own watcher is to be used.

    It is used if the program has chosen one, up to Python 3.13. From Python 3.14 on it is used
    where there is no pidfd: there asyncio gives the loop a watcher with threads.
    """
    policy = getattr(events, "_event_loop_policy", None)
    chosen = getattr(policy, "_watcher", None) is not None
    return chosen or isinstance(getattr(loop, "_watcher", None), _Threaded)


async def make_transport(
    loop: "Loop",
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
    waiter, exited = loop.create_future(), loop.create_future()
    transport = _Transport(
        loop,
        protocol,
        args,
        shell,
        stdin,
        stdout,
        stderr,
        bufsize,
        waiter=waiter,
        extra=extra,
        **kwargs,
    )
    _watch(loop, transport, exited)
    try:
        await waiter
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        transport.close()
        await exited
        await transport.close_pipes()
        raise
    return transport


class _Transport(unix_events._UnixSubprocessTransport):  # type: ignore[misc,name-defined]
    """A transport that can be closed before its pipes are connected.

    A task of its own connects the pipes. At the end of a program all tasks are cancelled, perhaps
    before this one has begun. Then nobody says that the pipes are not coming: `_wait`, which waits
    until they are disconnected, would never return.
    """

    _connecting: Any

    def _connect_pipes(self, waiter: Any) -> Any:
        self._connecting = super()._connect_pipes(waiter)
        return self._connecting

    async def close_pipes(self) -> None:
        """Closes the pipes, connected or not, of a process that has exited."""
        process = self._proc
        while inspect.getcoroutinestate(self._connecting) != inspect.CORO_CLOSED:
            await tasks.sleep(0)
        for fd, connected in self._pipes.items():
            if connected is not None:
                connected.pipe.close()
            elif process is not None:
                (process.stdin, process.stdout, process.stderr)[fd].close()


def _watch(loop: "Loop", transport: Any, exited: Any) -> None:
    pid = transport.get_pid()
    try:
        pidfd = os.pidfd_open(pid)
    # A kernel before 5.3, a sandbox, no fd left; or a system without pidfds.
    except (OSError, AttributeError):
        arguments = (loop, transport, exited)
        threading.Thread(target=_wait, args=arguments, name=f"waitpid-{pid}", daemon=True).start()
    else:
        loop._add_reader(pidfd, _pidfd_ready, loop, transport, exited, pidfd)


def _pidfd_ready(loop: "Loop", transport: Any, exited: Any, pidfd: int) -> None:
    loop._remove_reader(pidfd)
    os.close(pidfd)
    _end(transport, exited)


def _wait(loop: "Loop", transport: Any, exited: Any) -> None:
    pid, returncode = transport.get_pid(), None
    if hasattr(os, "waitid"):
        # The loop reaps the child. Until the transport knows, nobody else may get the number by
        # which the transport kills.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    else:  # macOS, before Python 3.13: as asyncio's own thread.
        returncode = _reap(pid)
    if loop.is_closed():
        log.logger.warning("Loop %r that handles pid %r is closed", loop, pid)
        if returncode is None:
            _reap(pid)
    else:
        loop.call_soon_threadsafe(_end, transport, exited, returncode)


def _end(transport: Any, exited: Any, returncode: int | None = None) -> None:
    if returncode is None:
        returncode = _reap(transport.get_pid())
    if not exited.cancelled():
        exited.set_result(None)
    transport._process_exited(returncode)


def _reap(pid: int) -> int:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        log.logger.warning(
            "child process pid %d exit status already read:  will report returncode 255", pid
        )
        return 255
    return os.waitstatus_to_exitcode(status)

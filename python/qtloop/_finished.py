"""`finished`: awaits the end of processes, network replies, animations and threads of Qt."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar, overload

from . import _qobjects
from ._completed import QtError, completed

#: Seconds that a cancelled process gets to end after QProcess.terminate(), before QProcess.kill().
GRACE: Final = 5.0


class Process(Protocol):
    """A QProcess."""

    def exitCode(self) -> int: ...
    def processId(self) -> int: ...


class Reply(Protocol):
    """A QNetworkReply."""

    def abort(self) -> None: ...
    def errorString(self) -> str: ...


class Animation(Protocol):
    """A QAbstractAnimation."""

    def currentLoop(self) -> int: ...


class Thread(Protocol):
    """A QThread."""

    def requestInterruption(self) -> None: ...


_Reply = TypeVar("_Reply", bound=Reply)


@overload
def finished(thing: Process) -> Coroutine[Any, Any, int]: ...
@overload
def finished(thing: _Reply) -> Coroutine[Any, Any, _Reply]: ...
@overload
def finished(thing: Animation | Thread) -> Coroutine[Any, Any, None]: ...


def finished(thing: Any) -> Coroutine[Any, Any, Any]:
    """Waits until the thing has finished. What was never started is started first.

    * QProcess: gives the exit code. QtError if it does not start or crashes (a signal kills it),
      with a QProcess.ProcessError as `code`. A process that has ended already is not started again:
      its outcome is given once more. If the task is cancelled, the process is terminated, killed if
      that takes longer than 5 s, and awaited; if the task is cancelled again meanwhile, it is
      killed and not awaited.
    * QNetworkReply: gives the reply, to be read. QtError if the request failed, as by HTTP's
      errors, with a QNetworkReply.NetworkError as `code` and the reply as `source`. If the task is
      cancelled, the request is aborted. The reply is never deleted: that is the caller's or the
      manager's.
    * QAbstractAnimation: gives None once it has stopped, at its end or by anybody's `stop()`. One
      that stands still is started. If the task is cancelled, it is stopped.
    * QThread: gives None once it has finished. One that has finished already is not started again.
      If the task is cancelled, the thread's interruption is requested, its event loop is quit, and
      it is awaited, since a QThread must not be destroyed before. It may have a few steps to go
      then, slots of its `finished` signal among them: with PyQt, which destroys it with the GIL
      held, call `wait()` before you let it go if such a slot is Python's and runs in that thread.

    Raises TypeError for anything else; SenderDestroyed if Qt deletes it meanwhile. Call it in the
    thing's thread, where a loop runs.
    """
    kind = _qobjects.kind(thing, _FINISHED)
    if kind is None:
        raise TypeError(
            f"a process, network reply, animation or thread of Qt's is needed, not {thing!r}"
        )
    return _FINISHED[kind](thing)


async def _process(process: Any) -> int:
    def has_ended() -> bool:
        return bool(process.state() == process.ProcessState.NotRunning)

    def start() -> None:
        # Once started it is open, even if it has ended or could not start.
        if has_ended() and not process.isOpen():
            process.start()

    def exit_code() -> int:
        failed_to_start = process.error() == process.ProcessError.FailedToStart
        if failed_to_start or process.exitStatus() == process.ExitStatus.CrashExit:
            raise QtError(process.errorString(), process.error(), process)
        return int(process.exitCode())

    async def cancel() -> None:
        process.terminate()
        # Not `asyncio.timeout`: early releases of Python 3.11 take it for the cancellation itself,
        # in a task that is cancelled already.
        killing = asyncio.get_running_loop().call_later(GRACE, process.kill)
        try:
            await completed(process, process.finished, until=has_ended)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            killing.cancel()

    signals = process.finished, process.errorOccurred  # If it does not start, only the latter.
    return await completed(
        process, *signals, until=has_ended, start=start, result=exit_code, cancel=cancel
    )


async def _reply(reply: Any) -> Any:
    def checked() -> Any:
        if reply.error() != reply.NetworkError.NoError:
            raise QtError(reply.errorString(), reply.error(), reply)
        return reply

    return await completed(
        reply, reply.finished, until=reply.isFinished, result=checked, cancel=reply.abort
    )


async def _animation(animation: Any) -> None:
    def has_stopped() -> bool:
        return bool(animation.state() == animation.State.Stopped)

    def start() -> None:
        if has_stopped():
            animation.start()

    # `finished` is emitted only at an animation's own end.
    changed = animation.stateChanged
    await completed(animation, changed, until=has_stopped, start=start, cancel=animation.stop)


async def _thread(thread: Any) -> None:
    def start() -> None:
        if not (thread.isRunning() or thread.isFinished()):
            thread.start()

    async def cancel() -> None:
        thread.requestInterruption()
        thread.quit()
        await completed(thread, thread.finished, until=thread.isFinished)

    await completed(thread, thread.finished, until=thread.isFinished, start=start, cancel=cancel)


_FINISHED: Final[dict[str, Callable[[Any], Coroutine[Any, Any, Any]]]] = {
    "QProcess": _process,
    "QNetworkReply": _reply,
    "QAbstractAnimation": _animation,
    "QThread": _thread,
}

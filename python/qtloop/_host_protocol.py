"""What a host is, for people who write one in Python. Public as `qtloop.hosts`."""

from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

#: A direction of a file descriptor, to be combined with `WRITE`.
READ: Final = 1
#: A direction of a file descriptor, to be combined with `READ`.
WRITE: Final = 2

#: A callable that reports an event to the loop. It ignores the arguments with which the run loop
#: calls it, returns None, and never raises. Give it to the run loop as it is. It is no Python
#: function, so no signal handler can raise an exception in it: the run loop would swallow the
#: exception, and the event with it.
Report = Callable[..., None]


class Reporter(Protocol):
    """Makes the callables that report an event to the loop. `Host.start` is given one."""

    def ready(self) -> Report:
        """For what `Host.arm` asks for."""

    def deadline(self) -> Report:
        """For what `Host.set_deadline` asks for."""

    def readable(self, fd: int) -> Report:
        """For an fd that is watched for READ."""

    def writable(self, fd: int) -> Report:
        """For an fd that is watched for WRITE."""


@runtime_checkable
class Host(Protocol):
    """An adapter between an asyncio loop and a run loop: what a host written in Python must have.

    It may have two more attributes. `name` is a string, which becomes `loop.host`; without it that
    is the name of the class. `uses_qt` is true if the run loop is Qt's and needs an application.

    The rules, which `qtloop.hosts.check` tests:

    * All calls come from one thread between `start` and `stop`, and so do all reports. A host may
      be started again later, on another thread too. It serves one loop at a time.
    * An event is reported from inside the run loop, never from inside a call of one of these
      methods. While it is handled any method but `start` may be called, also `run`, in which
      further events are reported.
    * The handler of a signal may raise its exception in the midst of any method. Then the method is
      called again, and has to do what is left to do; but for `start` and `run`, after which `stop`
      is called.
    * With nothing armed, no deadline and no fd ready the host sleeps: no polling, no heartbeat.
    """

    def start(self, reporter: Reporter) -> None:
        """Makes what the host needs in the run loop of this thread. The reporter is good until
        `stop`.

        Raises whatever says best why this thread has no run loop; `run_forever` raises it.
        """

    def stop(self) -> None:
        """Removes everything that was made since `start`. From then on nothing is reported, and
        nothing is left in the run loop. It is also called after a `start` that has failed."""

    def run(self, drain: bool) -> int:
        """Runs the run loop, nested if it runs already, until `quit`.

        If the program ends it by other means (its last window is closed, say), that counts as the
        quit of the application: `qtloop.run` then cancels its task. The result is the exit code of
        that, and else 0. But with `drain` only `quit` must end it: finalizers run then, and must
        come to an end.
        """

    def quit(self) -> None:
        """Ends the innermost `run`, after the event under way. It may be called before any event.

        If no `run` is under way, it ends the run loop that somebody else runs and that carries the
        loop (`attach`), as far as that is possible.
        """

    def arm(self) -> None:
        """Asks for one `ready`. It comes after the run loop has looked at its other sources, also
        in a nested run, and also while the one before is still being handled."""

    def disarm(self) -> None:
        """Takes the request of `arm` back."""

    def set_deadline(self, milliseconds: int | None) -> None:
        """Asks for one `deadline` in `milliseconds` or later, never earlier. None takes that back.

        It replaces the one before. 0 comes at once. It too may be set anew while its event is
        handled.
        """

    def watch(self, fd: int, interest: int) -> None:
        """Asks for `readable` and `writable` as long as the fd is ready for the directions in
        `interest`.

        It replaces the interest before. 0 ends the watch, which never fails. An error or a hang-up
        of the fd counts as both directions. Raises OSError if the fd cannot be watched.
        """


#: The methods that an object must have to count as a host.
METHODS: Final = ("start", "stop", "run", "quit", "arm", "disarm", "set_deadline", "watch")

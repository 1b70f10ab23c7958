"""What a loop has done, how punctual it was, and how long it kept Qt waiting."""

from dataclasses import dataclass, field
from itertools import accumulate

from . import _core


@dataclass(frozen=True)
class Histogram:
    """How many durations lay in which range. Times are in seconds.

    Bucket `n` counts what is longer than `bounds[n - 1]` and not longer than `bounds[n]`. The
    bounds are a microsecond and its doublings, up to 16.8 seconds, and in the end infinity.
    """

    #: The longest duration of each bucket.
    bounds: tuple[float, ...] = field(repr=False)
    #: How many durations each bucket has.
    counts: tuple[int, ...]
    #: All durations together.
    total: float
    #: The longest of them; 0 if there is none.
    max: float

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def quantile(self, q: float) -> float:
        """What the share `q` of all durations did not exceed: `quantile(0.99)` for the 99th
        percentile.

        It is the bound of a bucket, so it may be up to twice too long, but never longer than `max`.
        0 if nothing was counted.

        Raises ValueError if `q` is not between 0 and 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q must be between 0 and 1, not {q!r}")
        enough = max(1, q * self.count)
        for bound, counted in zip(self.bounds, accumulate(self.counts), strict=True):
            if counted >= enough:
                return min(bound, self.max)
        return self.max


@dataclass(frozen=True)
class Metrics:
    """A look at a loop's counters, which count from the moment when the loop was made."""

    #: The loop's host, as `EventLoop.host`.
    host: str
    #: Turns: how often Qt handed its thread to the loop.
    turns: int
    #: Callbacks run. A step of a task is one.
    callbacks: int
    #: Turns that ended because `EventLoop.slice` was spent, though there was more to do.
    overruns: int
    #: Callbacks that wait to run.
    ready: int
    #: Timers that can still fire.
    timers: int
    #: File descriptors that are watched, the loop's own self-pipe among them.
    fds: int
    #: For each timer that has fired: the time from its deadline until the loop noticed it.
    lateness: Histogram
    #: For each turn: how long Qt had to wait for its end. A turn with nested turns inside, because
    #: a callback ran a QEventLoop, is left out; the nested turns count.
    turn_lengths: Histogram

    @property
    def timers_fired(self) -> int:
        """Timers that have fired."""
        return self.lateness.count


def read(loop: _core.Loop) -> Metrics:
    """The loop's counters as they are now."""
    counters = loop._counters()
    for name in ("lateness", "turn_lengths"):
        counters[name] = Histogram(*counters[name])
    return Metrics(host=loop.host, **counters)

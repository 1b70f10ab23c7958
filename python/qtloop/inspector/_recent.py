"""What a histogram has counted during the last minute."""

from collections import deque
from typing import Final

from .._metrics import Histogram

#: The seconds that count as recent.
SPAN: Final = 60.0


class Recent:
    """Remembers a histogram's counts, to tell what was added during the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque()

    def add(self, now: float, histogram: Histogram) -> Histogram:
        """The histogram as it is now. Returns what it has counted recently. `max` is the bound of
        the last bucket that counted something, and `total` is unknown."""
        while self._seen and now - self._seen[0][0] > SPAN:
            self._seen.popleft()
        before = self._seen[0][1] if self._seen else histogram.counts
        self._seen.append((now, histogram.counts))
        counts = tuple(
            after - earlier for after, earlier in zip(histogram.counts, before, strict=True)
        )
        filled = [bound for bound, n in zip(histogram.bounds, counts, strict=True) if n]
        longest = min(filled[-1], histogram.max) if filled else 0.0
        return Histogram(histogram.bounds, counts, 0.0, longest)

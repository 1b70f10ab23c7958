"""The list of the worst blockers, which the watchdog keeps."""

import threading

from qtloop import EventLoop
from qtloop._blockers import KEPT, Worst

from .test_watchdog import Reports, reports, watched  # noqa: F401


def test_the_worst_comes_first_and_a_place_comes_once() -> None:
    worst = Worst()
    first = worst.begun("Task-1 (f at a.py:1)", 0.2, "stack of f")
    worst.begun("Task-2 (g at a.py:9)", 0.3, "stack of g")
    worst.ended(first, 0.5)
    worst.begun("Task-3 (f at a.py:1)", 0.1, "stack of f")
    told = [(it.culprit, it.seconds, it.times) for it in worst.worst_first()]
    assert told == [("Task-3 (f at a.py:1)", 0.5, 2), ("Task-2 (g at a.py:9)", 0.3, 1)]


def test_it_keeps_the_worst_and_the_newest() -> None:
    worst = Worst()
    places = [worst.begun(f"task {it}", 1 + it, f"stack {it}") for it in range(2 * KEPT)]
    worst.begun("newest", 0.1, "")
    told = [it.culprit for it in worst.worst_first()]
    assert len(told) == KEPT
    assert told[0] == f"task {2 * KEPT - 1}"
    assert told[-1] == "newest"
    worst.ended(places[0], 100)
    assert [it.culprit for it in worst.worst_first()] == told, "it is forgotten"


def test_debug_mode_keeps_them(watched: EventLoop, reports: Reports) -> None:  # noqa: F811
    async def main() -> None:
        reports.block()

    watched.run_until_complete(watched.create_task(main(), name="server"))
    assert watched._blockers is not None
    (found,) = [it for it in watched._blockers.worst_first() if "(block at" in it.culprit]
    assert found.culprit.startswith("server (block at ")
    assert (found.times, "in main" in found.stack) == (1, True)
    assert not [it for it in threading.enumerate() if it.name == "qtloop-watchdog"]

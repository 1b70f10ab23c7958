"""What watches a loop that is inspected outside debug mode: on the native host what watches in
debug mode, else a thread that asks it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from qtloop import EventLoop

from .test_watchdog import Reports, reports, watchers  # noqa: F401


def probes() -> list[threading.Thread]:
    return [it for it in threading.enumerate() if it.name == "qtloop-probe"]


@pytest.fixture
def inspected(qt_loop: EventLoop) -> Iterator[EventLoop]:
    """A loop that somebody inspects, with little patience."""
    qt_loop.slow_callback_duration = 0.02
    qt_loop._inspectors = 1
    yield qt_loop
    qt_loop._inspectors = 0


def blocks_until_noted(loop: EventLoop, seconds: float = 5) -> bool:
    tick = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if loop._blockers is not None and any(
            "blocks_until_noted" in it.stack for it in loop._blockers.worst_first()
        ):
            return True
        tick.wait(0.005)
    return False


def test_a_task_that_blocks_is_noted_and_not_logged(
    inspected: EventLoop,
    reports: Reports,  # noqa: F811
) -> None:
    async def main() -> bool:
        return blocks_until_noted(inspected)

    assert inspected.run_until_complete(inspected.create_task(main(), name="server"))
    assert inspected._blockers is not None
    found = [it for it in inspected._blockers.worst_first() if "blocks_until_noted" in it.stack]
    assert found[0].culprit.startswith("server (")
    assert not reports.messages
    assert not probes() and not watchers()


def test_a_callback_that_blocks_is_noted(inspected: EventLoop) -> None:
    noted: list[bool] = []
    inspected.call_soon(lambda: noted.append(blocks_until_noted(inspected)))
    inspected.call_later(0.001, inspected.stop)
    inspected.run_forever()
    assert noted == [True]
    assert inspected._blockers is not None
    culprits = [it.culprit for it in inspected._blockers.worst_first()]
    assert any(it.startswith("a callback, Qt slot or event handler (") for it in culprits)


def test_debug_mode_takes_over_and_gives_back(inspected: EventLoop) -> None:
    asks = 0 if inspected.host == "qt" else 1

    async def main() -> list[tuple[int, int]]:
        seen = [(len(probes()), len(watchers()))]
        for enabled in (True, False):
            inspected.set_debug(enabled)
            await asyncio.sleep(0)
            seen.append((len(probes()), len(watchers())))
        return seen

    assert inspected.run_until_complete(main()) == [(asks, 1), (0, 1), (asks, 1)]
    assert not probes() and not watchers()


def test_it_ends_with_a_run_that_fails(inspected: EventLoop) -> None:
    def leave() -> None:
        raise SystemExit

    inspected.call_soon(leave)
    with pytest.raises(SystemExit):
        inspected.run_forever()
    assert not probes() and not watchers()

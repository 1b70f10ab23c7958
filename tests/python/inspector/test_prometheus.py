"""The metrics in Prometheus' text format."""

import asyncio
import math
import re
import threading
from dataclasses import dataclass, field

import pytest

from qtloop import EventLoop
from qtloop.inspector import prometheus

from ..support.loops import nothing, run_briefly

_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Family:
    """What a `# TYPE` line begins."""

    kind: str
    help: str
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)


def parse(text: str) -> dict[str, Family]:
    """The families by name. Raises AssertionError for what is not in the format."""
    families: dict[str, Family] = {}
    explanations: dict[str, str] = {}
    name = ""
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, explanations[name] = line[7:].split(" ", 1)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in families
            families[name] = Family(kind, explanations[name])
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1].startswith(name), "samples of a family are together"
            labels = {key: unescaped(value) for key, value in _LABEL.findall(sample[2])}
            families[name].samples.append((sample[1], labels, float(sample[3])))
    return families


def unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda it: "\n" if it[1] == "n" else it[1], value)


def test_counters_and_gauges(qt_loop: EventLoop) -> None:
    for _ in range(3):
        qt_loop.call_soon(nothing)
    run_briefly(qt_loop)
    timer = qt_loop.call_later(100, nothing)
    metrics, families = qt_loop.metrics(), parse(prometheus(qt_loop))
    told = {
        name: (it.kind, it.samples[0][2]) for name, it in families.items() if len(it.samples) == 1
    }
    assert told == {
        "qtloop_turns_total": ("counter", metrics.turns),
        "qtloop_callbacks_total": ("counter", metrics.callbacks),
        "qtloop_overruns_total": ("counter", metrics.overruns),
        "qtloop_ready_callbacks": ("gauge", 0),
        "qtloop_pending_timers": ("gauge", 1),
        "qtloop_watched_fds": ("gauge", metrics.fds),
    }
    assert metrics.callbacks == 4
    assert all(it.help for it in families.values())
    timer.cancel()


def test_histograms_are_cumulative(qt_loop: EventLoop) -> None:
    for delay in (0.0, 0.001, 0.002):
        qt_loop.call_later(delay, nothing)
    qt_loop.call_later(0.005, qt_loop.stop)
    qt_loop.run_forever()
    families = parse(prometheus(qt_loop))
    found = {name: it for name, it in families.items() if it.kind == "histogram"}
    expected = {
        "qtloop_timer_lateness_seconds": qt_loop.metrics().lateness,
        "qtloop_turn_duration_seconds": qt_loop.metrics().turn_lengths,
    }
    assert found.keys() == expected.keys()
    for name, histogram in expected.items():
        *buckets, total, count = found[name].samples
        assert (total[0], count[0]) == (f"{name}_sum", f"{name}_count")
        assert (total[2], count[2]) == (histogram.total, histogram.count)
        assert {it[0] for it in buckets} == {f"{name}_bucket"}
        assert [float(it[1]["le"]) for it in buckets] == list(histogram.bounds)
        assert buckets[-1][1]["le"] == "+Inf"
        assert math.isinf(float(buckets[-1][1]["le"]))
        counts = [it[2] for it in buckets]
        assert counts == sorted(counts)
        assert counts[-1] == histogram.count > 0
        assert [b - a for a, b in zip([0.0, *counts], counts, strict=False)] == list(
            histogram.counts
        )


def test_labels_tell_loops_apart(qt_loop: EventLoop) -> None:
    odd = 'a"b\\c\nd'
    families = parse(prometheus(qt_loop, {"loop": odd}))
    labels = [labels for it in families.values() for _, labels, _ in it.samples]
    assert {it["loop"] for it in labels} == {odd}
    assert {it["host"] for it in labels} == {qt_loop.host}


@pytest.mark.parametrize("name", ["a-b", "", "9", "le", "__name__", "a\n"])
def test_what_cannot_be_a_label(qt_loop: EventLoop, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a label"):
        prometheus(qt_loop, {name: ""})


async def test_from_another_thread(qt_loop: EventLoop) -> None:
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(prometheus(qt_loop)))
    thread.start()
    while not told:
        await asyncio.sleep(0)
    thread.join()
    assert parse(told[0]).keys() == parse(prometheus()).keys()


def test_a_closed_loop_has_its_last_figures(qt_loop: EventLoop) -> None:
    run_briefly(qt_loop)
    qt_loop.close()
    assert parse(prometheus(qt_loop))["qtloop_callbacks_total"].samples[0][2] == 1
    with pytest.raises(RuntimeError, match="no loop of qtloop's"):
        prometheus()

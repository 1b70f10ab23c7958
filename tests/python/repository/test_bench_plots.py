"""The plots that the benches draw."""

import xml.etree.ElementTree as ElementTree
from functools import partial

from benches import plot
from benches.results import Results, Sample
from benches.workload import CPU, RATE, Group, Metric, Metrics, Workload

SVG = "{http://www.w3.org/2000/svg}"
P99 = Metric("late", "ms p99")


async def nothing(_seconds: float) -> Metrics:
    return {}


def workload(name: str, *metrics: Metric, needs_qt: bool = False) -> Workload:
    return Workload(name, Group("group", "about"), metrics, nothing, needs_qt=needs_qt)


def results(workload: Workload, key: str, **values: float) -> Results:
    found = Results()
    for loop, value in values.items():
        found.add(Sample(workload.name, loop, 0, {key: value}))
    return found


def places(drawn: str) -> dict[str, float]:
    """The place of each loop's dot, without the legend's."""
    dots = ElementTree.fromstring(drawn).iter(f"{SVG}circle")
    return {dot.attrib["class"]: float(dot.attrib["cx"]) for dot in dots if len(dot)}


def test_the_better_loop_is_further_to_the_right() -> None:
    by_rate, by_cpu = workload("rate", RATE), workload("both", RATE, CPU)
    rates = results(by_rate, RATE.key, asyncio=100, qasync=50, qtloop=400)
    times = results(by_cpu, CPU.key, asyncio=40, qasync=80, qtloop=10)
    for found, one in ((rates, by_rate), (times, by_cpu)):
        drawn = places(plot.svg(plot.speeds(found, [one])))
        assert drawn["qasync"] < drawn["asyncio"] < drawn["qtloop"]
        # A factor is a distance: four times as fast is twice as far as half as fast.
        faster, slower = drawn["qtloop"] - drawn["asyncio"], drawn["asyncio"] - drawn["qasync"]
        assert round(faster / slower, 1) == 2


def test_a_workload_that_asyncio_was_not_measured_by_has_no_row() -> None:
    one = workload("rate", RATE)
    assert plot.speeds(results(one, RATE.key, uvloop=1, qtloop=1), [one]).rows == []


def test_lateness_is_drawn_for_the_loops_in_qt() -> None:
    inside, outside = workload("timer", P99, needs_qt=True), workload("other", P99)
    late = partial(results, key=P99.key)
    assert plot.lateness(late(outside, qasync=1.0), [outside]).rows == []
    drawn = places(plot.svg(plot.lateness(late(inside, qasync=4.0, qtloop=0.5), [inside])))
    assert drawn["qtloop"] < drawn["qasync"]

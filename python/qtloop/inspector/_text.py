"""A snapshot as text, for a terminal. The functions take the snapshot in the form that JSON has."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ._names import plain

_PREFIXES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def seconds(value: float) -> str:
    """A duration in readable form: `2.5 ms`."""
    size = abs(value)
    if not math.isfinite(value) or size >= 1000:
        return f"{value:.0f} s"
    for unit, name in _PREFIXES:
        if size >= unit:
            return f"{value / unit:.3g} {name}"
    return "0 s" if size < 1e-9 else f"{value * 1e6:.2g} µs"


def of_answer(answer: dict[str, Any]) -> str:
    """The text for the answer of a process."""
    lines = [f"process {answer['pid']}, {len(answer['loops'])} loop(s)"]
    for number, loop in enumerate(answer["loops"]):
        lines += ["", f"loop {number} on the host {plain(loop['host'])!r}: {loop['state']}"]
        if loop.get("blocked"):
            lines += list(_blocked(loop["blocked"]))
        if loop.get("snapshot"):
            lines += list(of_snapshot(loop["snapshot"]))
    return "\n".join(lines) + "\n"


def _blocked(blocked: dict[str, Any]) -> Iterator[str]:
    yield f"  it has not answered for {seconds(blocked['seconds'])}; its thread is in"
    yield f"  {plain(blocked['culprit'])}"
    yield from (f"    {plain(line)}" for line in blocked["stack"].splitlines())


def of_snapshot(snapshot: dict[str, Any]) -> Iterator[str]:
    """The lines of text for a snapshot."""
    more = snapshot["left_out"]
    yield from _section("tasks", snapshot["tasks"], more, _task)
    yield from _section("timers", snapshot["timers"], more, _timer)
    yield from _section("fds", snapshot["fds"], more, _fd)
    yield from _section("transports", snapshot["transports"], more, _transport)
    yield from _section("blockers", snapshot["blockers"], more, _blocker)
    yield from _metrics(snapshot["metrics"])


def _section(
    title: str, entries: list[dict[str, Any]], more: dict[str, int], lines: Any
) -> Iterator[str]:
    left_out = more.get(title, 0)
    yield f"{title} ({len(entries) + left_out})"
    for entry in entries:
        yield from (f"  {line}" for line in lines(entry))
    if left_out:
        yield f"  and {left_out} more"


def _task(task: dict[str, Any]) -> Iterable[str]:
    indent = "  " * min(task["depth"], 40)
    state = f"waits for {plain(task['waits_for'])}" if task["state"] == "waiting" else task["state"]
    if task["state"] == "running" and task["waits_for"]:
        state += f" {plain(task['waits_for'])}"
    cancelling = ", is being cancelled" if task["cancelling"] else ""
    yield f"{indent}{plain(task['name'])} ({plain(task['coroutine'])}): {state}{cancelling}"
    for frame in task["stack"]:
        place = f"{plain(frame['file'])}:{frame['line']}"
        yield f"{indent}    {plain(frame['function'])} at {place}"


def _timer(timer: dict[str, Any]) -> Iterable[str]:
    of = f" of {plain(timer['task'])}" if timer["task"] else ""
    yield f"in {seconds(timer['due_in'])}: {plain(timer['callback'])}{of}"


def _fd(fd: dict[str, Any]) -> Iterable[str]:
    sides = [
        f"{verb} by {plain(fd[side])}"
        for side, verb in (("reader", "read"), ("writer", "written"))
        if fd[side] is not None
    ]
    yield f"{fd['fd']} ({fd['kind']}): {', '.join(sides)}"


def _transport(it: dict[str, Any]) -> Iterable[str]:
    ends = " - ".join(plain(end) for end in (it["local"], it["peer"]) if end)
    marks = "".join(
        f", {text}"
        for text, holds in (("reading paused", it["reading_paused"]), ("closing", it["closing"]))
        if holds
    )
    what = f"{plain(it['kind'])} of {plain(it['protocol'])}, fd {it['fd']}"
    yield f"{what}{', ' + ends if ends else ''}, {it['buffered']} bytes to write{marks}"


def _blocker(blocker: dict[str, Any]) -> Iterable[str]:
    ago = seconds(max(0.0, time.time() - blocker["last"]))
    length = seconds(blocker["seconds"])
    often = f"{blocker['times']} times, last {ago} ago"
    yield f"{length} at worst, {often}: {plain(blocker['culprit'])}"
    yield from (f"    {plain(line)}" for line in blocker["stack"].splitlines() if line)


def _metrics(metrics: dict[str, Any]) -> Iterator[str]:
    yield "metrics"
    names = ("turns", "callbacks", "overruns", "ready", "timers", "fds")
    yield "  " + ", ".join(f"{name} {metrics[name]}" for name in names)
    for name, title in (("lateness", "timers late"), ("turn_lengths", "Qt kept waiting")):
        it = metrics[name]
        yield (
            f"  {title}: half at most {seconds(it['p50'])}, 99% at most {seconds(it['p99'])}, "
            f"never more than {seconds(it['max'])}, of {it['count']}"
        )

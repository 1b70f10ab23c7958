"""How late things happen in a loop that has nothing else to do."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, perf_counter_ns
from typing import Any

from benches import loadgen
from benches.loops import application, qt_core
from benches.timing import in_thread, quantile
from benches.workload import Group, Metric, Metrics, Workload, add

LATENCY = Group(
    "Latency",
    "Microseconds in an idle loop. `wake-by-fd`: from another process's write to the callback of "
    "`add_reader`; the floor is a QSocketNotifier in a bare `exec()`. `wake-by-thread`: from "
    "`call_soon_threadsafe` to the callback; the floor is a queued signal. `sleep-1ms`: how much "
    "longer than asked `sleep(0.001)` takes, and how often it takes less; the floor is a precise "
    "QTimer.",
)

P50 = Metric("p50", "µs p50")
P99 = Metric("p99", "µs p99")
EARLY = Metric("early", "% early")

INTERVAL = 0.002
STAMP = struct.Struct("<Q")
SLEEP = 0.001


class Stamps:
    """The delays of the time stamps that another process writes to a socket."""

    def __init__(self, seconds: float) -> None:
        self.count = int(seconds / INTERVAL)
        self.delays: list[float] = []
        self._rest = b""
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)

    def take(self) -> bool:
        """Reads what has come; whether it was the last."""
        now = perf_counter_ns()
        data = self._rest + self.reader.recv(STAMP.size * self.count)
        whole = len(data) // STAMP.size * STAMP.size
        self._rest = data[whole:]
        self.delays.extend((now - stamp) / 1e3 for (stamp,) in STAMP.iter_unpack(data[:whole]))
        return not data or len(self.delays) >= self.count

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While the other process writes."""
        with self.reader:
            with self._writer:
                process = loadgen.stamp(self.count, INTERVAL, self._writer.fileno())
            yield
            process.wait()


async def wake_by_fd(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    stamps = Stamps(seconds)

    def arrive() -> None:
        if stamps.take():
            loop.remove_reader(stamps.reader.fileno())
            done.set_result(None)

    loop.add_reader(stamps.reader.fileno(), arrive)
    with stamps.coming():
        await done
    return _percentiles(stamps.delays)


def bare_wake_by_fd(seconds: float) -> Metrics:
    app, core = application(), qt_core()
    stamps = Stamps(seconds)
    notifier = core.QSocketNotifier(stamps.reader.fileno(), core.QSocketNotifier.Type.Read)

    def arrive() -> None:
        if stamps.take():
            notifier.setEnabled(False)
            app.quit()

    notifier.activated.connect(arrive)
    with stamps.coming():
        app.exec()
    return _percentiles(stamps.delays)


async def wake_by_thread(seconds: float) -> Metrics:
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    def arrive(stamp: int) -> None:
        delays.append((perf_counter_ns() - stamp) / 1e3)

    def send() -> None:
        for _ in range(int(seconds / INTERVAL)):
            time.sleep(INTERVAL)
            loop.call_soon_threadsafe(arrive, perf_counter_ns())

    await in_thread(send)
    return _percentiles(delays)


def bare_wake_by_thread(seconds: float) -> Metrics:
    app, core = application(), qt_core()
    delays: list[float] = []
    signal: Any = getattr(core, "pyqtSignal", None) or core.Signal
    sender = type("Sender", (core.QObject,), {"sent": signal(object)})()

    def arrive(stamp: int) -> None:
        delays.append((perf_counter_ns() - stamp) / 1e3)

    def send() -> None:
        for _ in range(int(seconds / INTERVAL)):
            time.sleep(INTERVAL)
            sender.sent.emit(perf_counter_ns())
        done.emit()

    sender.sent.connect(arrive, core.Qt.ConnectionType.QueuedConnection)
    ending = type("Ending", (core.QObject,), {"sent": signal()})()
    done: Any = ending.sent
    done.connect(app.quit, core.Qt.ConnectionType.QueuedConnection)
    threading.Thread(target=send, daemon=True).start()
    app.exec()
    return _percentiles(delays)


async def sleep_lateness(seconds: float) -> Metrics:
    delays: list[float] = []
    end = perf_counter() + seconds
    while (start := perf_counter()) < end:
        await asyncio.sleep(SLEEP)
        delays.append((perf_counter() - start - SLEEP) * 1e6)
    early = sum(delay < 0 for delay in delays) / len(delays) * 100
    return _percentiles(delays) | {"early": early}


def bare_sleep_lateness(seconds: float) -> Metrics:
    app, core = application(), qt_core()
    delays: list[float] = []
    timer = core.QTimer()
    timer.setTimerType(core.Qt.TimerType.PreciseTimer)
    timer.setSingleShot(True)
    start = perf_counter()
    end = start + seconds

    def arrive() -> None:
        nonlocal start
        now = perf_counter()
        delays.append((now - start - SLEEP) * 1e6)
        if now >= end:
            app.quit()
            return
        start = perf_counter()
        timer.start(round(SLEEP * 1e3))

    timer.timeout.connect(arrive)
    timer.start(round(SLEEP * 1e3))
    app.exec()
    early = sum(delay < 0 for delay in delays) / len(delays) * 100
    return _percentiles(delays) | {"early": early}


def _percentiles(delays: list[float]) -> Metrics:
    return {"p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99), "max": max(delays)}


add(Workload("wake-by-fd", LATENCY, (P50, P99), wake_by_fd, bare_wake_by_fd))
add(Workload("wake-by-thread", LATENCY, (P50, P99), wake_by_thread, bare_wake_by_thread))
add(Workload("sleep-1ms", LATENCY, (P50, P99, EARLY), sleep_lateness, bare_sleep_lateness))

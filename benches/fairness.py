"""Fairness, both ways: `python -m benches.fairness` shows Qt beside asyncio's floods, asyncio amid
Qt's.

Each case runs under a QApplication (offscreen) in a process of its own. The loops take turns, and
the table shows the median over the rounds. `own` is the lateness without the time in which the main
thread could have run but others had the CPU: so a busy machine can be told from a loop that holds
Qt up. What goes on in other threads is part of it still: one that loses the CPU while it has the
GIL holds up the main thread.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import importlib
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from time import perf_counter
from typing import Any

from benches import loadgen
from benches.loops import BINDINGS, LOOPS, application, binding, is_installed, qt_core
from benches.servers import BACKLOG, Echo, make_certificate
from benches.session import Settings
from benches.timing import in_thread, quantile
from benches.workload import Metrics

COMPARED = ("qtloop", "qtloop-binding", "qasync", "qtinter")
DISPATCHERS = ("glib", "plain")
PATIENCE = 60.0
"""Seconds that a case may last beyond the time it is asked to measure."""
WARM_UP = 0.2
QUICK_SECONDS = 0.3

TICK = 5
"""Milliseconds between two ticks of the precise QTimer."""
FRAME = 16
"""Milliseconds between two repaints: 60 Hz in whole ones."""
INPUT = 0.01
"""Seconds between two posted events."""
SLEEP = 0.005
"""Seconds of asyncio's sleep in a loop."""
SPINNERS = 200
CONNECTIONS = 500
MESSAGE = 1024
BACKLOG_OF_CALLS = 1000

# Floods of asyncio's. Each yields a function that says how much it has done so far.

Done = Callable[[], int]


@asynccontextmanager
async def idle() -> AsyncIterator[Done]:
    """Nothing at all."""
    yield lambda: 0


@asynccontextmanager
async def tasks() -> AsyncIterator[Done]:
    """Many tasks that spin on sleep(0)."""
    count = 0

    async def spin() -> None:
        nonlocal count
        while True:
            await asyncio.sleep(0)
            count += 1

    spinning = [asyncio.create_task(spin()) for _ in range(SPINNERS)]
    yield lambda: count
    for task in spinning:
        task.cancel()


@asynccontextmanager
async def chain() -> AsyncIterator[Done]:
    """A callback that calls itself soon."""
    loop = asyncio.get_running_loop()
    count, going = 0, True

    def again() -> None:
        nonlocal count
        count += 1
        if going:
            loop.call_soon(again)

    again()
    yield lambda: count
    going = False


@asynccontextmanager
async def thread() -> AsyncIterator[Done]:
    """A thread that calls without pause, as long as not too many of its calls are outstanding."""
    loop = asyncio.get_running_loop()
    count = 0
    permits: SimpleQueue[bool] = SimpleQueue()
    for _ in range(BACKLOG_OF_CALLS):
        permits.put(True)

    def flood() -> None:
        nonlocal count
        while permits.get():
            loop.call_soon_threadsafe(permits.put, True)
            count += 1

    flooding = threading.Thread(target=flood)
    flooding.start()
    yield lambda: count
    permits.put(False)
    flooding.join()


@asynccontextmanager
async def other_thread() -> AsyncIterator[Done]:
    """A thread that spins and leaves the loop alone: what Python's GIL alone does to Qt."""
    spinning = True

    def spin() -> None:
        while spinning:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    yield lambda: 0
    spinning = False
    thread.join()


class _CountingEcho(Echo):
    connected: int
    echoed: int
    all_connected: asyncio.Event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cls = type(self)
        cls.connected += 1
        if cls.connected >= CONNECTIONS:
            cls.all_connected.set()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        type(self).echoed += 1


@asynccontextmanager
async def echo(seconds: float) -> AsyncIterator[Done]:
    """Many busy TCP connections, once they are all there."""
    loop = asyncio.get_running_loop()

    class Counting(_CountingEcho):
        connected = echoed = 0
        all_connected = asyncio.Event()

    server = await loop.create_server(Counting, "127.0.0.1", 0, backlog=BACKLOG)
    host, port = server.sockets[0].getsockname()
    target = loadgen.Target(f"tcp:{host}:{port}")
    # The load outlasts the warm-up, ours and its own, and the measurement.
    drive = partial(loadgen.echo, target, CONNECTIONS, MESSAGE, seconds + 1, os.getpid())
    load = asyncio.ensure_future(in_thread(drive))
    await Counting.all_connected.wait()
    yield lambda: Counting.echoed
    await load
    server.close()


BURSTS = """
import socket, sys
path, count = sys.argv[1], int(sys.argv[2])
while True:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    for client in clients:
        client.connect(path)
    for client in clients:
        client.close()
"""


@asynccontextmanager
async def connections() -> AsyncIterator[Done]:
    """Connections that come from another process in bursts, and close."""
    count = 0
    first = asyncio.Event()

    def accept() -> asyncio.Protocol:
        nonlocal count
        count += 1
        first.set()
        return Echo()

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "server"))
        server = await asyncio.get_running_loop().create_unix_server(accept, path)
        with subprocess.Popen([sys.executable, "-c", BURSTS, path, str(CONNECTIONS)]) as bursts:
            await first.wait()
            yield lambda: count
            bursts.kill()
        server.close()


HANDSHAKES = """
import socket, ssl, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
while True:
    pairs = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        given, taken = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(given, taken)
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            client.sendall(taken.read())
        pairs.append((client, given, taken, session))
    for client, given, taken, session in pairs:
        while True:
            given.write(client.recv(65536))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        client.sendall(taken.read())
        client.close()
"""


@asynccontextmanager
async def handshakes() -> AsyncIterator[Done]:
    """TLS handshakes, all under way at once, with another process."""
    count = 0
    first = asyncio.Event()

    class Greeted(asyncio.Protocol):
        def connection_made(self, _transport: asyncio.BaseTransport) -> None:
            nonlocal count
            count += 1
            first.set()

    with tempfile.TemporaryDirectory() as folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(make_certificate(Path(folder)))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Greeted, "127.0.0.1", 0, backlog=BACKLOG, ssl=context)
        port = str(server.sockets[0].getsockname()[1])
        command = [sys.executable, "-c", HANDSHAKES, port, str(CONNECTIONS)]
        with subprocess.Popen(command) as clients:
            await first.wait()
            yield lambda: count
            clients.kill()
        server.close()


# What Qt does meanwhile.


class Scheduler:
    """What Linux's scheduler says about the main thread."""

    def __init__(self) -> None:
        self._fd = os.open("/proc/self/schedstat", os.O_RDONLY)

    def waited(self) -> float:
        """Seconds so far in which it could have run but got no CPU."""
        return int(os.pread(self._fd, 100, 0).split()[1]) / 1e9


class Beats:
    """When the timer ticked, when the widget was painted, and how long posted events were on their
    way."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.waited: list[float] = []
        self.frames: list[float] = []
        self.delays: list[float] = []
        self._scheduler = Scheduler()
        self._posted: deque[float] = deque()
        self._stopped = threading.Event()
        core = qt_core()
        self._timers = [_timer(TICK, self._tick), _timer(FRAME, self._repaint)]
        self._widget = make_widget(self._painted)
        beats = self

        class Receiver(core.QObject):  # type: ignore[misc, name-defined]
            def event(self, event: Any) -> bool:
                if event.type() == core.QEvent.Type.User:
                    beats._received()
                    return True
                return bool(super().event(event))

        self._receiver = Receiver()
        self._poster = threading.Thread(target=self._post)
        self._poster.start()

    def forget(self) -> None:
        """What was seen so far was the warm-up; no tick at all shall show, too."""
        now = perf_counter()
        self.ticks, self.waited, self.frames, self.delays = (
            [now],
            [self._scheduler.waited()],
            [now],
            [],
        )

    def stop(self) -> Metrics:
        """How late everything was, in milliseconds; frames by the time from one to the next."""
        now = perf_counter()
        late = [gap - TICK for gap in gaps([*self.ticks, now])]
        waits = gaps([*self.waited, self._scheduler.waited()])
        own = [gap - wait for gap, wait in zip(late, waits, strict=True)]
        frames = gaps([*self.frames, now])
        self._stopped.set()
        self._poster.join()
        for timer in self._timers:
            timer.stop()
        self._widget.close()
        return {
            **spread("tick", [max(0.0, gap) for gap in late]),
            **spread("own", [max(0.0, gap) for gap in own]),
            "frame_p99": quantile(frames, 0.99),
            "frame_max": max(frames),
            "input_p99": quantile(self.delays, 0.99),
        }

    def _tick(self) -> None:
        self.ticks.append(perf_counter())
        self.waited.append(self._scheduler.waited())

    def _repaint(self) -> None:
        self._widget.update()

    def _painted(self) -> None:
        self.frames.append(perf_counter())

    def _received(self) -> None:
        self.delays.append((perf_counter() - self._posted.popleft()) * 1e3)

    def _post(self) -> None:
        core = qt_core()
        while not self._stopped.wait(INPUT):
            self._posted.append(perf_counter())
            core.QCoreApplication.postEvent(self._receiver, core.QEvent(core.QEvent.Type.User))


async def qt_beside(
    flood: Callable[[], AbstractAsyncContextManager[Done]], seconds: float
) -> Metrics:
    """How Qt keeps its pace beside the flood, and what the flood gets done."""
    async with flood() as done:
        beats = Beats()
        await asyncio.sleep(WARM_UP)
        beats.forget()
        start, before = perf_counter(), done()
        await asyncio.sleep(seconds)
        rate = (done() - before) / (perf_counter() - start)
        return beats.stop() | {"rate": rate}


# Floods of Qt's. Each ends by itself when its time is up, for who is starved cannot end it.


class Flood:
    """A flood that goes on until its time is up."""

    def __init__(self) -> None:
        self.turns = 0
        self._end = 0.0

    def start(self, end: float) -> None:
        """Begins; `end` is of `perf_counter`."""
        self._end = end
        self.go()

    def go(self) -> None:
        """What the kind of flood does to begin."""

    def is_over(self) -> bool:
        """To be asked once a turn."""
        self.turns += 1
        return perf_counter() >= self._end


class ZeroTimer(Flood):
    """A zero-interval QTimer."""

    def go(self) -> None:
        self._timer = _timer(0, self.turn)

    def turn(self) -> None:
        if self.is_over():
            self._timer.stop()


class Posted(Flood):
    """An event whose receiver posts another to itself."""

    def go(self) -> None:
        core, flood = qt_core(), self

        class Receiver(core.QObject):  # type: ignore[misc, name-defined]
            def event(self, event: Any) -> bool:
                if event.type() != core.QEvent.Type.User:
                    return bool(super().event(event))
                if not flood.is_over():
                    core.QCoreApplication.postEvent(self, core.QEvent(core.QEvent.Type.User))
                return True

        self._receiver = Receiver()
        core.QCoreApplication.postEvent(self._receiver, core.QEvent(core.QEvent.Type.User))


class Animation(ZeroTimer):
    """A QVariantAnimation that is stepped as fast as possible; each step repaints a widget at
    once."""

    def go(self) -> None:
        self._widget = make_widget(lambda: None)
        animation = self._animation = qt_core().QVariantAnimation()
        animation.setStartValue(0)
        animation.setEndValue(1_000_000)
        animation.setDuration(1_000_000)
        animation.valueChanged.connect(lambda _: self._widget.repaint())
        animation.start()
        animation.pause()
        super().go()

    def turn(self) -> None:
        self._animation.setCurrentTime(self.turns + 1)
        super().turn()


class Repaint(Flood):
    """A widget that asks for its next repaint while it paints."""

    def go(self) -> None:
        self._widget = make_widget(self._painted)

    def _painted(self) -> None:
        if not self.is_over():
            self._widget.update()


# What asyncio does meanwhile, until `end`.


async def sleeps(end: float) -> Metrics:
    """How late sleep() is, over and over."""
    scheduler = Scheduler()
    delays, own = [], []
    while (start := perf_counter()) < end:
        waited = scheduler.waited()
        await asyncio.sleep(SLEEP)
        late = perf_counter() - start - SLEEP
        delays.append(late * 1e3)
        own.append(max(0.0, late - (scheduler.waited() - waited)) * 1e3)
    return spread("sleep", delays) | spread("own", own)


async def steps(end: float) -> Metrics:
    """Steps per second of one task that spins on sleep(0)."""
    count, start = 0, perf_counter()
    while perf_counter() < end:
        await asyncio.sleep(0)
        count += 1
    return {"steps": count / (perf_counter() - start)}


async def round_trips(end: float) -> Metrics:
    """Round trips per second between two tasks over a pair of sockets."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for side in (ours, theirs):
        side.setblocking(False)

    async def serve() -> None:
        while data := await loop.sock_recv(theirs, MESSAGE):
            await loop.sock_sendall(theirs, data)

    serving = asyncio.ensure_future(serve())
    count, start = 0, perf_counter()
    while perf_counter() < end:
        await loop.sock_sendall(ours, b"x" * MESSAGE)
        await loop.sock_recv(ours, MESSAGE)
        count += 1
    elapsed = perf_counter() - start
    ours.close()
    await serving
    theirs.close()
    return {"trips": count / elapsed}


async def witnesses(end: float) -> Metrics:
    """Not asyncio but Qt itself: how often a second a zero-interval QTimer and a QSocketNotifier
    fire."""
    core = qt_core()
    counts = [0, 0]

    def count(which: int) -> None:
        counts[which] += 1

    reader, writer = os.pipe()
    os.write(writer, b"x")
    timer = _timer(0, partial(count, 0))
    notifier = core.QSocketNotifier(reader, core.QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda *_: count(1))
    start = perf_counter()
    await asyncio.sleep(end - start)
    elapsed = perf_counter() - start
    timer.stop()
    notifier.setEnabled(False)
    os.close(reader)
    os.close(writer)
    return {"qt_timer": counts[0] / elapsed, "qt_notifier": counts[1] / elapsed}


PROBES: tuple[Callable[[float], Awaitable[Metrics]], ...] = (sleeps, steps, round_trips, witnesses)


async def asyncio_amid(flood: type[Flood], seconds: float) -> Metrics:
    """What asyncio gets done amid the flood, one kind of work after another, and the flood
    meanwhile."""
    metrics: dict[str, float] = {}
    for probe in PROBES:
        flooding, start = flood(), perf_counter()
        flooding.start(start + seconds)
        metrics |= await probe(start + seconds)
        metrics[f"flood_{probe.__name__}"] = flooding.turns / (perf_counter() - start)
        # The flood ends before the next begins.
        await asyncio.sleep(0.05)
    return metrics


# Cases.

TO_QT = {
    "idle": idle,
    "spin": tasks,
    "thread": thread,
    "chain": chain,
    "connect": connections,
    "handshakes": handshakes,
    "gil": other_thread,
}
TO_ASYNCIO = {
    "calm": Flood,
    "qtimer": ZeroTimer,
    "posted": Posted,
    "animation": Animation,
    "repaint": Repaint,
}
CASES: dict[str, Callable[[float], Awaitable[Metrics]]] = {
    **{name: partial(qt_beside, flood) for name, flood in TO_QT.items()},
    "echo": lambda seconds: qt_beside(partial(echo, seconds + WARM_UP), seconds),
    **{name: partial(asyncio_amid, flood) for name, flood in TO_ASYNCIO.items()},
}

TITLES = {
    "Qt beside asyncio's floods: lateness of a 5 ms QTimer, frames at 60 Hz, "
    "events from a thread (ms)": (
        ("idle", "spin", "echo", "thread", "chain", "connect", "handshakes", "gil"),
        {
            "tick p50": "tick_p50",
            "p99": "tick_p99",
            "max": "tick_max",
            "own p99": "own_p99",
            "own max": "own_max",
            "frame p99": "frame_p99",
            "max ": "frame_max",
            "input p99": "input_p99",
            "flood/s": "rate",
        },
    ),
    "asyncio amid Qt's floods: lateness of sleep(0.005) (ms), the rest per second": (
        tuple(TO_ASYNCIO),
        {
            "sleep p50": "sleep_p50",
            "p99": "sleep_p99",
            "max": "sleep_max",
            "own p99": "own_p99",
            "own max": "own_max",
            "sleep(0)/s": "steps",
            "echo/s": "trips",
            "flood+sleep": "flood_sleeps",
            "flood+spin": "flood_steps",
            "QTimer(0)/s": "qt_timer",
            "notifier/s": "qt_notifier",
        },
    ),
}


def make_widget(painted: Callable[[], None]) -> Any:
    """A shown widget that draws a little and says so."""
    name = binding()
    gui: Any = importlib.import_module(f"{name}.QtGui")
    widgets: Any = importlib.import_module(f"{name}.QtWidgets")

    class Canvas(widgets.QWidget):  # type: ignore[misc]
        def paintEvent(self, event: Any) -> None:
            painter = gui.QPainter(self)
            for x in range(0, 400, 20):
                painter.drawEllipse(x, 20, 60, 60)
            painter.end()
            painted()

    canvas = Canvas()
    canvas.resize(400, 100)
    canvas.show()
    return canvas


def _timer(interval: int, slot: Callable[[], None]) -> Any:
    core = qt_core()
    timer = core.QTimer()
    timer.setTimerType(core.Qt.TimerType.PreciseTimer)
    timer.timeout.connect(slot)
    timer.start(interval)
    return timer


def gaps(moments: Sequence[float]) -> list[float]:
    """Milliseconds from each moment to the next."""
    return [(late - early) * 1e3 for early, late in pairwise(moments)]


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The figures that describe the values."""
    return {
        f"{name}_p50": quantile(values, 0.5),
        f"{name}_p99": quantile(values, 0.99),
        f"{name}_max": max(values),
    }


# Taking the measurements.


@dataclass(frozen=True)
class Sample:
    """What one process has measured."""

    case: str
    loop: str
    dispatcher: str
    metrics: Metrics | None
    error: str = ""


def measure(case: str, loop: str, seconds: float) -> Metrics:
    """In this process."""

    async def run() -> Metrics:
        # The widgets of a case come and go.
        application().setQuitOnLastWindowClosed(False)
        return await CASES[case](seconds)

    return asyncio.Runner(loop_factory=LOOPS[loop].make).run(run())


def take(case: str, loop: str, dispatcher: str, settings: Settings, env: dict[str, str]) -> Sample:
    """In a process of its own."""
    words = ["--measure", case, loop, str(settings.seconds)]
    sample = Sample(case, loop, dispatcher, None)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benches.fairness", *words],
            check=False,
            cwd=loadgen.ROOT,
            env=env | dict(LOOPS[loop].env),
            capture_output=True,
            text=True,
            timeout=settings.seconds * len(PROBES) + PATIENCE,
        )
    except subprocess.TimeoutExpired as expired:
        return replace(sample, error=f"not done after {expired.timeout:.0f} s")
    if done.returncode != 0 or not done.stdout:
        return replace(sample, error=f"ended with {done.returncode}: {done.stderr[-2000:]}")
    return replace(sample, metrics=json.loads(done.stdout.splitlines()[-1]))


def table(
    samples: Sequence[Sample], cases: Sequence[str], columns: dict[str, str]
) -> Iterator[str]:
    """Its lines."""
    yield f"{'':32}" + "".join(f"{head.strip():>12}" for head in columns)
    places = dict.fromkeys((sample.case, sample.loop, sample.dispatcher) for sample in samples)
    for case, loop, dispatcher in sorted(places, key=lambda place: cases.index(place[0])):
        found = [s for s in samples if (s.case, s.loop, s.dispatcher) == (case, loop, dispatcher)]
        metrics = [sample.metrics for sample in found if sample.metrics is not None]
        label = f"{case:10}{loop:16}{dispatcher:6}"
        if metrics:
            yield label + "".join(
                _cell(median(m[name] for m in metrics)) for name in columns.values()
            )
        for error in {sample.error for sample in found if sample.error}:
            yield f"{label}{error.strip().splitlines()[-1]}"


def _cell(value: float) -> str:
    return f"{value:12,.2f}" if value < 1000 else f"{value:12,.0f}"


@contextmanager
def _printing_tables(samples: list[Sample]) -> Iterator[None]:
    yield
    for title, (cases, columns) in TITLES.items():
        chosen = [sample for sample in samples if sample.case in cases]
        if chosen:
            print(title, *table(chosen, cases, columns), "", sep="\n", flush=True)


def main() -> None:
    """Runs from the command line."""
    if sys.argv[1:2] == ["--measure"]:
        return _measuring_process(*sys.argv[2:])
    options = _parse(sys.argv[1:])
    seconds = options.seconds or (QUICK_SECONDS if options.quick else 1.0)
    rounds = options.rounds or (1 if options.quick else 3)
    samples: list[Sample] = []
    with _printing_tables(samples):
        for dispatcher in options.dispatchers.split(","):
            settings = Settings(
                rounds, seconds, options.binding, no_glib=dispatcher == "plain", gui=True
            )
            env = settings.environment()
            for case in options.cases.split(","):
                for _ in range(rounds):
                    samples += [
                        take(case, loop, dispatcher, settings, env)
                        for loop in _loops(options.loops)
                    ]
    if options.json:
        options.json.write_text(json.dumps([vars(sample) for sample in samples], indent=1))
    for sample in samples:
        if sample.error:
            print("failed:", sample.case, sample.loop, sample.dispatcher, sample.error)


def _loops(names: str) -> list[str]:
    return [name for name in names.split(",") if is_installed(LOOPS[name])]


def _measuring_process(case: str, loop: str, seconds: str) -> None:
    faulthandler.enable()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(measure(case, loop, float(seconds))), flush=True)
    # How a loop tears down is not measured here, so it shall not spoil what was.
    os._exit(0)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.fairness", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a brief look whether everything works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every sample")
    parser.add_argument(
        "--cases", default=",".join(CASES), metavar="NAME,...", help=f"of {', '.join(CASES)}"
    )
    parser.add_argument("--loops", default=",".join(COMPARED), metavar="NAME,...")
    parser.add_argument("--dispatchers", default=",".join(DISPATCHERS), metavar="NAME,...")
    parser.add_argument("--binding", choices=BINDINGS, default=BINDINGS[0])
    parser.add_argument("--seconds", type=float, help=f"each; 1, or {QUICK_SECONDS} with --quick")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()

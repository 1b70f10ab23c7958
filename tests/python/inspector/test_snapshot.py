"""Snapshots: the tree of tasks, where each stands, timers, fds and transports."""

import asyncio
import functools
import gc
import json
import os
import ssl
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qtloop import EventLoop
from qtloop.inspector import Snapshot, Task, _text, _transports, snapshot

from ..support.certificates import make_certificate
from ..support.loops import Pair, nothing, qt_core, run_briefly


async def waits(event: asyncio.Event) -> None:
    await event.wait()


def by_name(found: Snapshot) -> dict[str, Task]:
    return {it.name: it for it in found.tasks}


def parents(found: Snapshot) -> dict[str, str | None]:
    names = {it.id: it.name for it in found.tasks}
    return {it.name: names[it.parent] if it.parent is not None else None for it in found.tasks}


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def settled() -> None:
    """What was just started waits for something."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_tree_of_a_gather(qt_loop: EventLoop) -> None:
    event = asyncio.Event()

    async def gathers() -> None:
        names = ("first", "second", "third")
        await asyncio.gather(*(asyncio.create_task(waits(event), name=it) for it in names))

    task = asyncio.create_task(gathers(), name="gathers")
    await settled()
    found = snapshot()
    children = {"first": "gathers", "second": "gathers", "third": "gathers"}
    assert {**children, "gathers": None}.items() <= parents(found).items()
    told = by_name(found)
    assert told["gathers"].waits_for == "gather of 3, 0 done"
    assert told["first"].waits_for == "Event.wait()"
    assert told["first"].awaited_by == ("gathers",)
    order = [it.name for it in found.tasks if it.name in (*children, "gathers")]
    assert order == ["gathers", "first", "second", "third"]
    assert [told[it].depth for it in order] == [0, 1, 1, 1]
    event.set()
    await task


async def test_a_shielded_task_and_one_that_is_awaited(qt_loop: EventLoop) -> None:
    event = asyncio.Event()
    inner = asyncio.create_task(waits(event), name="inner")

    async def shields() -> None:
        await asyncio.shield(inner)

    async def awaits() -> None:
        await inner

    others = [asyncio.create_task(shields(), name="1 shields")]
    others.append(asyncio.create_task(awaits(), name="2 awaits"))
    await settled()
    found = snapshot()
    told = by_name(found)
    assert told["1 shields"].waits_for == "shield of task inner"
    assert told["2 awaits"].waits_for == "task inner"
    assert set(told["inner"].awaited_by) == {"1 shields", "2 awaits"}
    assert parents(found)["inner"] in told["inner"].awaited_by
    assert len([it for it in found.tasks if it.name == "inner"]) == 1
    event.set()
    await asyncio.wait(others)


@pytest.mark.parametrize("way", ["group", "wait", "wait_for", "timeout", "as_completed"])
async def test_other_ways_to_await_a_task(qt_loop: EventLoop, way: str) -> None:
    event = asyncio.Event()

    async def outer() -> None:
        if way == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(waits(event), name="inner")
            return
        inner = asyncio.create_task(waits(event), name="inner")
        if way == "wait":
            await asyncio.wait([inner])
        elif way == "wait_for":
            await asyncio.wait_for(inner, 100)
        elif way == "timeout":
            async with asyncio.timeout(100):
                await inner
        else:
            for done in asyncio.as_completed([inner]):
                await done

    task = asyncio.create_task(outer(), name="outer")
    await settled()
    found = snapshot()
    assert parents(found)["inner"] == "outer"
    if way in ("wait_for", "timeout"):
        assert [it.task for it in found.timers if it.due_in > 50 and it.task] == ["outer"]
    event.set()
    await task


async def test_tasks_that_wait_for_each_other(qt_loop: EventLoop) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def awaits(number: int) -> None:
        await tasks[number]

    tasks += [asyncio.create_task(awaits(1 - it), name=f"knot {it}") for it in range(2)]
    await settled()
    found = snapshot()
    assert parents(found)["knot 1"] == "knot 0"
    assert parents(found)["knot 0"] is None
    assert by_name(found)["knot 0"].awaited_by == ("knot 1",)
    # Neither can be cancelled by the other's: each passes it on to the other for ever.
    for task in tasks:
        task.get_coro().close()  # type: ignore[union-attr]
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_a_task_that_is_being_cancelled(qt_loop: EventLoop) -> None:
    event = asyncio.Event()

    async def lingers() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await event.wait()

    task = asyncio.create_task(lingers(), name="lingers")
    await settled()
    assert not by_name(snapshot())["lingers"].cancelling
    task.cancel()
    assert by_name(snapshot())["lingers"].cancelling
    await settled()
    told = by_name(snapshot())["lingers"]
    assert told.cancelling
    assert told.waits_for == "Event.wait()"
    event.set()
    await asyncio.wait([task])
    assert "lingers" not in by_name(snapshot())


async def test_a_stack_goes_through_all_that_is_awaited(qt_loop: EventLoop) -> None:
    event = asyncio.Event()

    class Thing:
        def __await__(self) -> Any:
            return waits(event).__await__()

    async def values() -> AsyncIterator[int]:
        await Thing()
        yield 1

    async def loops() -> None:
        async for _ in values():
            pass

    task = asyncio.create_task(loops(), name="loops")
    await settled()
    told = by_name(snapshot())["loops"]
    functions = [it.function.rpartition(".")[2] for it in told.stack]
    assert functions == ["loops", "values", "waits", "wait"]
    assert [it.file == __file__ for it in told.stack] == [True, True, True, False]
    lines = Path(__file__).read_text().splitlines()
    assert [lines[it.line - 1].strip() for it in told.stack[:3]] == [
        "async for _ in values():",
        "await Thing()",
        "await event.wait()",
    ]
    event.set()
    await task


async def test_a_task_that_runs(qt_loop: EventLoop) -> None:
    def helper() -> Snapshot:
        return snapshot()

    async def calls() -> Snapshot:
        return helper()

    found = await asyncio.create_task(calls(), name="calls")
    told = by_name(found)["calls"]
    assert (told.state, told.waits_for) == ("running", "")
    functions = [it.function.rpartition(".")[2] for it in told.stack]
    assert functions == ["calls", "helper"]


def test_a_task_inside_which_an_event_loop_runs(qt_loop: EventLoop) -> None:
    taken: list[Snapshot] = []

    def nested() -> None:
        inner = qt_core.QEventLoop()

        async def looks() -> None:
            taken.append(snapshot())
            inner.quit()

        keep.append(qt_loop.create_task(looks(), name="looks"))
        (inner.exec if hasattr(inner, "exec") else inner.exec_)()

    async def opens() -> None:
        nested()

    keep: list[Any] = []
    qt_loop.run_until_complete(qt_loop.create_task(opens(), name="opens"))
    told = by_name(taken[0])
    assert (told["opens"].state, told["opens"].waits_for) == (
        "running",
        "an event loop that runs inside it",
    )
    functions = [it.function.rpartition(".")[2] for it in told["opens"].stack]
    assert functions == ["opens", "nested"]
    assert told["looks"].state == "running"
    assert [it.function.rpartition(".")[2] for it in told["looks"].stack] == ["looks"]


async def test_a_task_that_has_not_begun(qt_loop: EventLoop) -> None:
    task = asyncio.create_task(waits(asyncio.Event()), name="new")
    told = by_name(snapshot())["new"]
    assert told.state == "ready"
    assert [it.function for it in told.stack] == ["waits"]
    await ended(task)


async def test_names_that_would_deceive(qt_loop: EventLoop) -> None:
    """A terminal is told nothing, and no line of a text begins but ours."""
    name = "a\nb\x1b[31m\u202e\ud800"
    task = asyncio.create_task(waits(asyncio.Event()), name=name)
    await settled()
    found = snapshot()
    (told,) = [it for it in found.tasks if it.name.startswith("a")]
    assert told.name == r"a\nb\x1b[31m\u202e\ud800"
    text = "\n".join(_text.of_snapshot(found.as_dict()))
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()
    await ended(task)


async def test_names_that_cannot_be_had(qt_loop: EventLoop) -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise ValueError

        def __call__(self) -> None: ...

        def __repr__(self) -> str:
            raise ValueError

    class Nameless(asyncio.Task[Any]):
        def get_name(self) -> str:
            raise ValueError

    timer = qt_loop.call_later(100, functools.partial(Odd()))
    task = Nameless(waits(asyncio.Event()), loop=qt_loop)
    await settled()
    found = snapshot()
    assert "Odd" in [it.callback for it in found.timers]
    assert "Nameless" in by_name(found)
    timer.cancel()
    await ended(task)


async def test_timers(qt_loop: EventLoop) -> None:
    handles = [qt_loop.call_later(1000, nothing), qt_loop.call_later(500, handles_nothing)]
    qt_loop.call_later(1, nothing).cancel()
    task = asyncio.create_task(asyncio.sleep(700), name="sleeps")
    await settled()
    told = [it for it in snapshot().timers if it.due_in > 400]
    assert [(it.callback, it.task) for it in told] == [
        ("handles_nothing", ""),
        ("_set_result_unless_cancelled", "sleeps"),
        ("nothing", ""),
    ]
    assert 400 < told[0].due_in <= 500
    for handle in handles:
        handle.cancel()
    await ended(task)


def handles_nothing() -> None:
    """A callback with another name."""


async def test_fds(qt_loop: EventLoop, pair: Pair) -> None:
    own = {it.fd for it in snapshot().fds}
    left, right = pair
    qt_loop.add_reader(left, nothing)
    qt_loop.add_writer(left, handles_nothing)
    receiving = asyncio.create_task(qt_loop.sock_recv(right, 1))
    await settled()
    told = {it.fd: it for it in snapshot().fds if it.fd not in own}
    assert told.keys() == {left.fileno(), right.fileno()}
    it = told[left.fileno()]
    assert (it.kind, it.reader, it.writer) == ("socket", "nothing", "handles_nothing")
    it = told[right.fileno()]
    assert (it.kind, it.writer) == ("socket", None)
    assert it.reader and "sock_recv" in it.reader
    qt_loop.remove_reader(left)
    qt_loop.remove_writer(left)
    await ended(receiving)


async def test_a_stream_and_what_it_cannot_write(qt_loop: EventLoop) -> None:
    accepted: list[asyncio.BaseTransport] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.pause_reading()  # type: ignore[attr-defined]
            accepted.append(transport)

    server = await qt_loop.create_server(Server, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client, _ = await qt_loop.create_connection(asyncio.Protocol, *address)
    while not accepted:
        await asyncio.sleep(0)
    client.write(b"x" * 10_000_000)
    told = {it.protocol: it for it in snapshot().transports}
    local, peer = (client.get_extra_info(it) for it in ("sockname", "peername"))
    it = told["Protocol"]
    assert (it.kind, it.local, it.peer) == ("stream", *(f"{h}:{p}" for h, p in (local, peer)))
    assert it.buffered == client.get_write_buffer_size() > 0
    assert (it.reading_paused, it.closing) == (False, False)
    assert told["Server"].peer == it.local
    assert (told["Server"].reading_paused, told["Server"].buffered) == (True, 0)
    client.close()
    assert {it.protocol: it.closing for it in snapshot().transports} == {
        "Protocol": True,
        "Server": False,
    }
    client.abort()
    accepted[0].abort()  # type: ignore[attr-defined]
    server.close()
    await settled()
    assert snapshot().transports == ()


async def test_a_tls_connection(qt_loop: EventLoop, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context(cafile=str(certificate))
    accepted: list[asyncio.BaseTransport] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    server = await qt_loop.create_server(Server, "127.0.0.1", 0, ssl=ours)
    address = server.sockets[0].getsockname()
    client, _ = await qt_loop.create_connection(
        asyncio.Protocol, *address, ssl=theirs, server_hostname="localhost"
    )
    while not accepted:
        await asyncio.sleep(0)
    client.write(b"x" * 10_000_000)
    told = {it.protocol: it for it in snapshot().transports}
    assert {name: it.kind for name, it in told.items()} == {"Protocol": "tls", "Server": "tls"}
    assert told["Protocol"].buffered > 0, "it is encrypted, and waits below"
    for transport in (client, *accepted):
        transport.abort()  # type: ignore[attr-defined]
    server.close()
    while snapshot().transports:
        await asyncio.sleep(0)


async def test_a_datagram_endpoint(qt_loop: EventLoop) -> None:
    transport, _ = await qt_loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    (told,) = snapshot().transports
    assert (told.kind, told.peer) == ("datagram", "")
    assert told.local.startswith("127.0.0.1:")
    transport.close()


async def test_both_ends_of_a_pipe(qt_loop: EventLoop) -> None:
    """Also one that is not watched, because it is paused; and a socket that is both."""
    read, write = os.pipe()
    reader, _ = await qt_loop.connect_read_pipe(asyncio.Protocol, os.fdopen(read, "rb", 0))
    writer, _ = await qt_loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write, "wb", 0))
    reader.pause_reading()
    await settled()
    told = {it.kind: it for it in snapshot().transports}
    assert told.keys() == {"read pipe", "write pipe"}
    assert (told["read pipe"].fd, told["read pipe"].reading_paused) == (read, True)
    writer.write(b"x" * 1_000_000)
    assert {it.buffered for it in snapshot().transports} == {0, writer.get_write_buffer_size()}
    writer.abort()
    await settled()
    assert [it.kind for it in snapshot().transports] == ["read pipe"]
    reader.close()
    await settled()
    assert snapshot().transports == ()


async def test_a_socket_that_is_both_ends(qt_loop: EventLoop, pair: Pair) -> None:
    left = pair[0].dup()
    reader, _ = await qt_loop.connect_read_pipe(asyncio.Protocol, left)
    writer, _ = await qt_loop.connect_write_pipe(asyncio.BaseProtocol, left)
    assert {it.kind for it in snapshot().transports} == {"read pipe", "write pipe"}
    assert len({it.fd for it in snapshot().transports}) == 1
    writer.abort()
    await settled()
    reader.close()
    await settled()
    assert snapshot().transports == ()


async def test_a_forgotten_transport_is_not_told(qt_loop: EventLoop) -> None:
    read, write = os.pipe()
    reader, _ = await qt_loop.connect_read_pipe(asyncio.Protocol, os.fdopen(read, "rb", 0))
    reader.pause_reading()
    await settled()
    with pytest.warns(ResourceWarning):
        del reader, _
        gc.collect()
    assert snapshot().transports == ()
    os.close(write)


async def test_there_may_be_too_much_to_tell(qt_loop: EventLoop) -> None:
    event = asyncio.Event()
    tasks = [asyncio.create_task(waits(event)) for _ in range(10)]
    timers = [qt_loop.call_later(100, nothing) for _ in range(10)]
    await settled()
    found = snapshot(limit=4)
    assert (len(found.tasks), len(found.timers)) == (4, 4)
    assert found.left_out["tasks"] == len(asyncio.all_tasks()) - 4
    for timer in timers:
        timer.cancel()
    event.set()
    await asyncio.wait(tasks)


async def test_a_long_chain_of_tasks(qt_loop: EventLoop) -> None:
    event = asyncio.Event()
    tasks: list[asyncio.Task[None]] = [asyncio.create_task(waits(event), name="link 0")]

    async def awaits(task: "asyncio.Task[None]") -> None:
        await task

    for number in range(1, 5000):
        tasks.append(asyncio.create_task(awaits(tasks[-1]), name=f"link {number}"))
    await settled()
    found = snapshot()
    assert by_name(found)["link 0"].depth == 4999
    json.dumps(found.as_dict())
    assert len(list(_text.of_snapshot(found.as_dict()))) > 5000
    event.set()
    while not tasks[-1].done():
        await asyncio.sleep(0)


async def test_it_is_json(qt_loop: EventLoop) -> None:
    task = asyncio.create_task(asyncio.sleep(100), name="sleeps")
    await settled()
    found = snapshot()
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["pid"] == os.getpid()
    assert "sleeps" in [it["name"] for it in plain["tasks"]]
    assert plain["metrics"]["turns"] == found.metrics.turns
    lateness = plain["metrics"]["lateness"]
    assert lateness["bounds"][-1] is None
    assert sum(lateness["counts"]) == lateness["count"] == found.metrics.lateness.count
    await ended(task)


async def test_nothing_is_kept_alive(qt_loop: EventLoop) -> None:
    event = asyncio.Event()
    task = asyncio.create_task(waits(event))
    await settled()
    found = snapshot()
    references = [weakref.ref(task), weakref.ref(event)]
    event.set()
    await task
    await settled()  # The handle that has woken this one has the task.
    del task, event
    gc.collect()
    assert [it() for it in references] == [None, None]
    assert found.tasks


def test_a_loop_that_does_not_run(qt_loop: EventLoop) -> None:
    timer = qt_loop.call_later(100, nothing)
    assert [it.callback for it in snapshot(qt_loop).timers] == ["nothing"]
    with pytest.raises(RuntimeError, match="no loop of qtloop's"):
        snapshot()
    timer.cancel()
    run_briefly(qt_loop)
    qt_loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        snapshot(qt_loop)


async def test_a_loop_of_another_thread(qt_loop: EventLoop) -> None:
    def look() -> str:
        with pytest.raises(RuntimeError) as caught:
            snapshot(qt_loop)
        return str(caught.value)

    assert "runs in another thread" in await asyncio.to_thread(look)


async def test_sockets_addresses(qt_loop: EventLoop, tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    server = await qt_loop.create_unix_server(asyncio.Protocol, path)
    client, _ = await qt_loop.create_unix_connection(asyncio.Protocol, path)
    assert path in [it.peer for it in snapshot().transports]
    client.abort()
    server.close()
    client.close()
    while snapshot().transports:
        await asyncio.sleep(0)


def test_every_kind_of_address_has_a_spelling() -> None:
    addresses = [("::1", 80, 0, 0), ("127.0.0.1", 80), "/run/a\nb", b"\0name", None, ""]
    assert [_transports._address(it) for it in addresses] == [
        "[::1]:80",
        "127.0.0.1:80",
        r"/run/a\nb",
        "@name",
        "",
        "",
    ]

"""What qtloop uses of asyncio that is not documented: each piece is there and does what it is used
for.

A Python version that changes one fails here, by name. The oracle is a stock loop that never sees
qtloop.
"""

import _thread
import asyncio
import contextvars
import importlib
import inspect
import socket
import ssl
import sys
import threading
from asyncio import events, sslproto
from collections.abc import Callable, Coroutine, Iterator
from operator import attrgetter
from typing import Any

import pytest

from qtloop import _asyncio_hooks, _core

from ..support import child
from ..support.loops import nothing

Check = Callable[[Any, Any], None]


@pytest.fixture
def stock() -> Iterator[Any]:
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


def find(name: str) -> Any:
    """What the dotted name means inside the package `asyncio`."""
    module, _, path = name.partition(".")
    return attrgetter(path)(importlib.import_module(f"asyncio.{module}"))


async def coroutine() -> None: ...


def is_true(found: Any, loop: Any) -> None:
    assert found is True


def is_the_module(found: Any, loop: Any) -> None:
    assert found is socket


def leaves_a_number_as_it_is(resolve: Any, loop: Any) -> None:
    given: list[Any] = []

    async def getaddrinfo(*args: Any, **options: Any) -> list[Any]:
        given.append(args)
        return []

    loop.getaddrinfo = getaddrinfo
    kind = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "loop": loop}
    resolving = resolve(loop, ("127.0.0.1", 80), **kind)
    assert loop.run_until_complete(resolving)[0][4] == ("127.0.0.1", 80)
    assert loop.run_until_complete(resolve(loop, ("localhost", 80), **kind)) == []
    assert given == [("localhost", 80)]


def enters_a_task(enter: Any, loop: Any) -> None:
    task = loop.create_task(coroutine())
    if sys.version_info >= (3, 14):
        # The task is the thread's there, and only the running loop's can be.
        with pytest.raises(RuntimeError, match="is not the running loop"):
            enter(loop, task)
    events._set_running_loop(loop)
    enter(loop, task)
    assert asyncio.current_task(loop) is task
    with pytest.raises(RuntimeError):
        enter(loop, task)
    asyncio.tasks._leave_task(loop, task)  # type: ignore[attr-defined]
    events._set_running_loop(None)
    loop.run_until_complete(task)


def tells_the_current_task(current_task: Any, loop: Any) -> None:
    async def step() -> Any:
        return asyncio.current_task(), current_task(loop)

    task = loop.create_task(step())
    assert loop.run_until_complete(task) == (task, task)
    assert current_task(loop) is None


def refuses_what_is_no_data(write: Any, loop: Any) -> None:
    for data in ("text", 1, None):
        with pytest.raises(TypeError, match="data argument must be"):
            write(None, data)


def leaves_a_task(leave: Any, loop: Any) -> None:
    async def step() -> None:
        task = asyncio.current_task()
        leave(loop, task)
        assert asyncio.current_task() is None
        asyncio.tasks._enter_task(loop, task)  # type: ignore[attr-defined]

    loop.run_until_complete(step())


def has_slots(*names: str) -> Check:
    def check(slots: Any, loop: Any) -> None:
        assert set(names) <= set(slots)

    return check


def runs_in_its_context(run: Any, loop: Any) -> None:
    seen: list[str] = []
    variable = contextvars.ContextVar("variable", default="outside")
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    run(events.Handle(lambda: seen.append(variable.get()), (), loop, context))
    assert seen == ["inside"]
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, report: reports.append(report["exception"]))
    run(events.Handle(lambda: 1 / 0, (), loop, context))
    assert isinstance(reports[0], ZeroDivisionError)


def sets_the_running_loop(set_running_loop: Any, loop: Any) -> None:
    set_running_loop(loop)
    assert asyncio.get_running_loop() is loop
    set_running_loop(None)
    assert events._get_running_loop() is None


def tells_the_running_loop(get_running_loop: Any, loop: Any) -> None:
    assert get_running_loop() is None
    seen: list[Any] = []
    loop.call_soon(lambda: (seen.append(get_running_loop()), loop.stop()))
    loop.run_forever()
    assert seen == [loop]


def refuses_a_closed_loop(check_closed: Any, loop: Any) -> None:
    check_closed(loop)
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        check_closed(loop)


def refuses_another_thread(check_thread: Any, loop: Any) -> None:
    check_thread(loop)
    loop._thread_id = threading.get_ident()
    check_thread(loop)
    loop._thread_id = threading.get_ident() + 1
    with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
        check_thread(loop)
    loop._thread_id = None


def refuses_what_cannot_be_called(check_callback: Any, loop: Any) -> None:
    check_callback(loop, nothing, "call_soon")
    for callback in (None, coroutine):
        with pytest.raises(TypeError, match=r"call_soon\(\)"):
            check_callback(loop, callback, "call_soon")


def tracks_coroutine_origins(track: Any, loop: Any) -> None:
    before = sys.get_coroutine_origin_tracking_depth()
    track(loop, True)
    assert sys.get_coroutine_origin_tracking_depth() > before
    track(loop, False)
    assert sys.get_coroutine_origin_tracking_depth() == before


async def generator() -> Any:
    yield 1


def registers_a_generator(first_iteration: Any, loop: Any) -> None:
    agen = generator()
    first_iteration(loop, agen)
    assert agen in loop._asyncgens


def closes_a_generator(finalize: Any, loop: Any) -> None:
    agen = generator()
    loop.run_until_complete(anext(agen))
    finalize(loop, agen)
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    with pytest.raises(StopAsyncIteration):
        loop.run_until_complete(anext(agen))


def names_a_handle(format_handle: Any, loop: Any) -> None:
    assert "nothing" in format_handle(loop.call_soon(nothing))
    task = loop.create_task(coroutine(), name="named")
    (handle,) = [
        handle for handle in loop._ready if "TaskStep" in repr(handle) or "Task" in repr(handle)
    ]
    assert "named" in format_handle(handle)
    loop.run_until_complete(task)


def names_a_callback(format_callback_source: Any, loop: Any) -> None:
    assert "nothing" in format_callback_source(nothing, ())


def summarizes_the_stack(extract_stack: Any, loop: Any) -> None:
    summary = extract_stack(sys._getframe())
    assert summary[-1].name == "summarizes_the_stack"


def handles_the_signals_in_bytes(hook: Any, loop: Any) -> None:
    seen: list[int] = []
    loop._handle_signal = seen.append
    hook(loop, b"\0\x0a\0\x0c")
    assert seen == [10, 12]


def drains_the_self_pipe(read_from_self: Any, loop: Any) -> None:
    handled: list[int] = []
    loop._handle_signal = handled.append
    loop._csock.send(b"\0\x0a")
    read_from_self(loop)
    with pytest.raises(BlockingIOError):
        loop._ssock.recv(1)
    assert handled == [10]


def makes_a_self_pipe(make_self_pipe: Any, loop: Any) -> None:
    loop._close_self_pipe()
    watched: list[int] = []
    loop._add_reader = lambda fd, *call: watched.append(fd)
    make_self_pipe(loop)
    assert isinstance(loop._ssock, socket.socket)
    assert isinstance(loop._csock, socket.socket)
    assert watched == [loop._ssock.fileno()]
    loop._remove_reader = nothing


def unmakes_the_self_pipe(close_self_pipe: Any, loop: Any) -> None:
    sockets = loop._ssock, loop._csock
    close_self_pipe(loop)
    assert [sock.fileno() for sock in sockets] == [-1, -1]
    assert loop._ssock is None
    assert loop._csock is None
    loop._make_self_pipe()


def watches(remover: str) -> Check:
    def check(watch: Any, loop: Any) -> None:
        left, right = socket.socketpair()
        with left, right:
            handle = watch(loop, left.fileno(), nothing, "argument")
            assert isinstance(handle, asyncio.Handle)
            assert getattr(loop, remover)(left.fileno()) is True
            assert handle.cancelled()

    return check


def unwatches(adder: str) -> Check:
    def check(unwatch: Any, loop: Any) -> None:
        left, right = socket.socketpair()
        with left, right:
            assert unwatch(loop, left.fileno()) is False
            getattr(loop, adder)(left.fileno(), nothing)
            assert unwatch(loop, left.fileno()) is True

    return check


def protects_transports(ensure_fd_no_transport: Any, loop: Any) -> None:
    left, right = socket.socketpair()
    with right:
        ensure_fd_no_transport(loop, left)
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=left))
        with pytest.raises(RuntimeError, match="is used by transport"):
            ensure_fd_no_transport(loop, left)
        transport.close()
        loop.run_until_complete(asyncio.sleep(0))


def accepts_so_many_at_once(start_serving: Any, loop: Any) -> None:
    accepted: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)
            transport.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(5)]
        # From Python 3.14 on it is one more than that.
        backlog = 1 if sys.version_info >= (3, 14) else 2
        start_serving(loop, Protocol, listener, None, None, backlog)
        for expected in (2, 4, 5):
            loop.call_soon(loop.stop)
            loop.run_forever()  # Accepts, and makes the transports' tasks.
            loop._remove_reader(listener.fileno())
            loop.run_until_complete(asyncio.sleep(0.001))
            assert len(accepted) == expected
            start_serving(loop, Protocol, listener, None, None, backlog)
        loop._remove_reader(listener.fileno())
        for client in clients:
            client.close()


def asks_the_selector(test_selector_event: Any, loop: Any) -> None:
    left, right = socket.socketpair()
    with left, right:
        assert not test_selector_event(loop._selector, left.fileno(), 1)
        loop._add_reader(left.fileno(), nothing)
        assert test_selector_event(loop._selector, left.fileno(), 1)
        loop._remove_reader(left.fileno())


def keeps_handlers_by_number(loop_class: Any, loop: Any) -> None:
    loop.add_signal_handler(10, nothing)
    assert isinstance(loop._signal_handlers[10], asyncio.Handle)
    loop.remove_signal_handler(10)


def tells_the_transport_threadsafely(callback: Any, loop: Any) -> None:
    exits: list[int] = []

    class Transport:
        def _process_exited(self, returncode: int) -> None:
            exits.append(returncode)
            loop.stop()

    arguments = (loop, 123, 7, Transport())
    threading.Thread(target=callback, args=arguments).start()
    loop.run_forever()
    assert exits == [7]


def takes_what_we_pass(transport_class: Any, loop: Any) -> None:
    signature = inspect.signature(transport_class)
    signature.bind(loop, None, ["true"], False, None, None, None, 0, waiter=None, extra=None)
    assert {"get_pid", "_process_exited", "_wait", "close"} <= set(dir(transport_class))


def takes(*arguments: Any, **keywords: Any) -> Check:
    def check(function: Any, loop: Any) -> None:
        inspect.signature(function).bind(*arguments, **keywords)

    return check


def switches_nagle_off(set_nodelay: Any, loop: Any) -> None:
    with socket.socket(proto=socket.IPPROTO_TCP) as sock:
        set_nodelay(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class _Connection:
    """Something that a weak reference can point to."""


def counts_connections(change: int) -> Check:
    def check(count: Any, loop: Any) -> None:
        server: Any = asyncio.Server(loop, ["socket"], None, None, None, None)  # type: ignore[call-arg, list-item]
        first, second = _Connection(), _Connection()
        is_told = len(inspect.signature(count).parameters) == 2
        server._attach(*[first] * is_told)
        count(server, *[second if change > 0 else first] * is_told)
        counted = server._active_count if hasattr(server, "_active_count") else len(server._clients)
        assert counted == 1 + change

    return check


def sets_a_result_but_once(set_result: Any, loop: Any) -> None:
    future = loop.create_future()
    future.cancel()
    set_result(future, 1)
    assert future.cancelled()


def shows_a_socket(transport_socket: Any, loop: Any) -> None:
    with socket.socket() as sock:
        assert transport_socket(sock).fileno() == sock.fileno()


def speaks_tls(ssl_protocol: Any, loop: Any) -> None:
    assert issubclass(ssl_protocol, asyncio.BufferedProtocol)
    options = {"ssl_handshake_timeout": 1, "ssl_shutdown_timeout": 1}
    context = ssl.create_default_context()
    protocol = ssl_protocol(loop, asyncio.Protocol(), context, None, False, "localhost", **options)
    assert hasattr(protocol, "_app_transport")


def does_for_records_what_rust_does(do_read: Any, loop: Any) -> None:
    own = {name for name in vars(_core.TlsEngine) if not name.startswith("__")}
    methods = {name for name in own if callable(getattr(_core.TlsEngine, name))}
    assert all(inspect.isfunction(getattr(sslproto.SSLProtocol, name)) for name in methods)
    context = ssl.create_default_context()
    protocol = sslproto.SSLProtocol(loop, asyncio.Protocol(), context, None, False, "localhost")
    assert own - methods <= set(vars(protocol)) | {"_app_protocol_is_buffer"}
    assert type(vars(protocol)["_sslobj"]._sslobj).__name__ == "_SSLSocket"


def has_five_states(states: Any, loop: Any) -> None:
    names = ["UNWRAPPED", "DO_HANDSHAKE", "WRAPPED", "FLUSHING", "SHUTDOWN"]
    assert [state.name for state in states] == names


def knows_its_protocol(transport_class: Any, loop: Any) -> None:
    protocol = object()
    transport = transport_class(loop, protocol)
    transport._closed = True
    assert transport._ssl_protocol is protocol


def makes_its_protocol_by_name(start_tls: Any, loop: Any) -> None:
    assert {"sslproto", "SSLProtocol"} <= set(start_tls.__code__.co_names)
    assert start_tls.__closure__ is None


def is_a_transport(mixin: Any, loop: Any) -> None:
    assert issubclass(mixin, asyncio.Transport)


def has_native_mode(mode: Any, loop: Any) -> None:
    assert mode.TRY_NATIVE


def is_positive(number: Any, loop: Any) -> None:
    assert number > 0


def refers_to_its_reader(protocol_class: Any, loop: Any) -> None:
    reader = asyncio.StreamReader(loop=loop)
    protocol = protocol_class(reader, loop=loop)
    assert protocol._stream_reader_wr() is reader


class _Paused:
    """A transport that notes whether it is paused."""

    is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def get_extra_info(self, name: str) -> None:
        return None


def fills_the_buffer(feed_data: Any, loop: Any) -> None:
    reader: Any = asyncio.StreamReader(limit=2, loop=loop)
    transport = _Paused()
    reader.set_transport(transport)
    assert reader._transport is transport
    waiting = loop.create_task(reader.read(3))
    loop.run_until_complete(asyncio.sleep(0))
    waiter = reader._waiter
    assert not waiter.done() and (reader._eof, reader._paused, reader._limit) == (False, False, 2)
    feed_data(reader, b"12345")
    assert waiter.done() and reader._waiter is None
    assert type(reader._buffer) is bytearray and reader._buffer == b"12345"
    assert transport.is_paused and reader._paused
    waiting.cancel()
    reader.feed_eof()
    assert reader._eof


def lists_dummies(active: Any, loop: Any) -> None:
    listed: list[bool] = []
    done = threading.Event()

    def be_a_dummy() -> None:
        threading.current_thread()
        listed.append(threading.get_ident() in active)
        active.pop(threading.get_ident(), None)
        listed.append(
            any(thread.ident == threading.get_ident() for thread in threading.enumerate())
        )
        done.set()

    _thread.start_new_thread(be_a_dummy, ())
    assert done.wait(10)
    assert listed == [True, False]


def calls_before_threads_are_joined(register_atexit: Any, loop: Any) -> None:
    """The thread ends because the function was called."""
    outcome = child.run_bare(
        """
        import threading
        ending = threading.Event()
        threading.Thread(target=lambda: (ending.wait(), print("told"))).start()
        threading._register_atexit(ending.set)
        """
    )
    assert (outcome.code, outcome.out) == (0, "told\n")


def refuses_ssl_sockets(check: Any, loop: Any) -> None:
    with socket.socket() as sock:
        check(sock)
        ssl_socket = ssl.create_default_context().wrap_socket(sock, server_hostname="x")
    with ssl_socket, pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
        check(ssl_socket)


def lets_a_task_wait(_: Any, loop: Any) -> None:
    class Operation(Coroutine[Any, Any, str]):
        def __await__(self) -> Any:
            return self

        def send(self, value: Any) -> Any:
            if future.done():
                raise StopIteration("result")
            future._asyncio_future_blocking = True
            return future

        def throw(self, *error: Any) -> Any:
            raise error[0]

    future = loop.create_future()
    task = loop.create_task(Operation())
    loop.call_soon(future.set_result, None)
    assert loop.run_until_complete(task) == "result"
    assert future._asyncio_future_blocking is False


def tells_what_a_task_waits_for(_: Any, loop: Any) -> None:
    future = loop.create_future()

    async def waits() -> None:
        await future

    task = loop.create_task(waits())
    assert task._fut_waiter is None
    loop.run_until_complete(asyncio.sleep(0))
    assert task._fut_waiter is future
    future.set_result(None)
    loop.run_until_complete(task)
    assert task._fut_waiter is None


def tells_that_a_task_is_to_be_cancelled(_: Any, loop: Any) -> None:
    task = loop.create_task(coroutine())
    assert not task._must_cancel
    task.cancel()
    assert task._must_cancel
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def lists_done_callbacks(_: Any, loop: Any) -> None:
    """Those of `gather`, `shield` and `wait` have closures that lead on."""
    future = loop.create_future()
    assert not future._callbacks
    future.add_done_callback(nothing)
    ((callback, context),) = future._callbacks
    assert callback is nothing
    assert isinstance(context, contextvars.Context)
    future.remove_done_callback(nothing)

    async def shields() -> Any:
        return asyncio.shield(future)

    outer = loop.run_until_complete(shields())
    # From Python 3.15 another one before it keeps account of who waits.
    (forward,) = (it for it, _ in future._callbacks if it.__name__ == "_inner_done_callback")
    (back, _), *_ = outer._callbacks
    cells = [dict(zip(it.__code__.co_freevars, it.__closure__)) for it in (forward, back)]  # noqa: B905
    assert forward.__module__ == "asyncio.tasks"
    assert cells[0]["outer"].cell_contents is outer
    assert back.__name__ == "_outer_done_callback"
    assert cells[1]["inner"].cell_contents is future
    future.cancel()
    outer.cancel()


def knows_its_children(_: Any, loop: Any) -> None:
    futures = [loop.create_future() for _ in range(2)]

    async def gathers() -> Any:
        return asyncio.gather(*futures)

    outer = loop.run_until_complete(gathers())
    assert outer._children == futures
    for future in futures:
        future.set_result(None)
    loop.run_until_complete(outer)


def knows_its_parent(name: Any, loop: Any) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            task: Any = group.create_task(coroutine())
            owners = [getattr(it, "__self__", None) for it, _ in task._callbacks]
            assert group in owners
            assert group._parent_task is asyncio.current_task()  # type: ignore[attr-defined]

    loop.run_until_complete(main())


SELECTOR = "selector_events.BaseSelectorEventLoop"
BASE = "base_events.BaseEventLoop"
UNIX = "unix_events._UnixSelectorEventLoop"

CHECKS: dict[str, Check] = {
    "events.Handle.__slots__": has_slots(
        "_callback", "_args", "_cancelled", "_loop", "_source_traceback", "_repr", "_context"
    ),
    "events.TimerHandle.__slots__": has_slots("_scheduled", "_when"),
    "events.Handle._run": runs_in_its_context,
    "events._set_running_loop": sets_the_running_loop,
    "tasks.current_task": tells_the_current_task,
    "tasks._enter_task": enters_a_task,
    "tasks._leave_task": leaves_a_task,
    "events._get_running_loop": tells_the_running_loop,
    f"{BASE}._check_closed": refuses_a_closed_loop,
    f"{BASE}._check_thread": refuses_another_thread,
    f"{BASE}._check_callback": refuses_what_cannot_be_called,
    f"{BASE}._set_coroutine_origin_tracking": tracks_coroutine_origins,
    f"{BASE}._asyncgen_firstiter_hook": registers_a_generator,
    f"{BASE}._asyncgen_finalizer_hook": closes_a_generator,
    "base_events._check_ssl_socket": refuses_ssl_sockets,
    "base_events._HAS_IPv6": is_true,
    "base_events.socket": is_the_module,
    f"{BASE}._ensure_resolved": leaves_a_number_as_it_is,
    f"{BASE}._connect_sock": takes("loop", "exceptions", "info", "local_infos"),
    f"{BASE}._create_connection_transport": takes("loop", "sock", "factory", None, None),
    "futures.Future._asyncio_future_blocking": lets_a_task_wait,
    "base_events._format_handle": names_a_handle,
    "format_helpers._format_callback_source": names_a_callback,
    "format_helpers.extract_stack": summarizes_the_stack,
    f"{SELECTOR}._read_from_self": drains_the_self_pipe,
    f"{SELECTOR}._make_self_pipe": makes_a_self_pipe,
    f"{SELECTOR}._close_self_pipe": unmakes_the_self_pipe,
    f"{SELECTOR}._add_reader": watches("_remove_reader"),
    f"{SELECTOR}._remove_reader": unwatches("_add_reader"),
    f"{SELECTOR}._add_writer": watches("_remove_writer"),
    f"{SELECTOR}._remove_writer": unwatches("_add_writer"),
    f"{SELECTOR}._ensure_fd_no_transport": protects_transports,
    "selector_events._SelectorSocketTransport.write": refuses_what_is_no_data,
    f"{SELECTOR}._start_serving": accepts_so_many_at_once,
    f"{SELECTOR}._make_socket_transport": takes(
        "loop", "sock", "protocol", "waiter", extra=None, server=None
    ),
    f"{SELECTOR}._make_datagram_transport": takes(
        "loop", "sock", "protocol", "address", "waiter", "extra"
    ),
    f"{SELECTOR}._make_ssl_transport": takes(
        "loop",
        "sock",
        "protocol",
        "context",
        "waiter",
        server_side=True,
        server_hostname=None,
        extra=None,
        server=None,
        ssl_handshake_timeout=1,
        ssl_shutdown_timeout=1,
    ),
    f"{SELECTOR}._sendfile_native": takes("loop", "transport", "file", 0, None),
    f"{UNIX}._sock_sendfile_native": takes("loop", "sock", "file", 0, None),
    "base_events._set_nodelay": switches_nagle_off,
    "base_events.Server._attach": counts_connections(1),
    "base_events.Server._detach": counts_connections(-1),
    "futures._set_result_unless_cancelled": sets_a_result_but_once,
    "trsock.TransportSocket": shows_a_socket,
    "sslproto.SSLProtocol": speaks_tls,
    "sslproto.SSLProtocol._do_read": does_for_records_what_rust_does,
    "sslproto.SSLProtocolState": has_five_states,
    "sslproto._SSLProtocolTransport": knows_its_protocol,
    f"{BASE}.start_tls": makes_its_protocol_by_name,
    "transports._FlowControlMixin": is_a_transport,
    "constants._SendfileMode": has_native_mode,
    "constants.ACCEPT_RETRY_DELAY": is_positive,
    "constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES": is_positive,
    "streams.StreamReaderProtocol": refers_to_its_reader,
    "streams.StreamReader.feed_data": fills_the_buffer,
    "selector_events._test_selector_event": asks_the_selector,
    f"{UNIX}._process_self_data": handles_the_signals_in_bytes,
    f"{UNIX}._child_watcher_callback": tells_the_transport_threadsafely,
    "unix_events._UnixSubprocessTransport": takes_what_we_pass,
    "tasks.Task._fut_waiter": tells_what_a_task_waits_for,
    "tasks.Task._must_cancel": tells_that_a_task_is_to_be_cancelled,
    "futures.Future._callbacks": lists_done_callbacks,
    "tasks._GatheringFuture": knows_its_children,
    "taskgroups.TaskGroup._on_task_done": knows_its_parent,
    "base_events.threading._active": lists_dummies,
    "base_events.threading._register_atexit": calls_before_threads_are_joined,
}

#: What instances have, not classes.
ATTRIBUTES: dict[str, Check] = {f"{UNIX}._signal_handlers": keeps_handlers_by_number}


def test_every_hook_has_its_check() -> None:
    assert set(_asyncio_hooks.PRIVATE) == {*CHECKS, *ATTRIBUTES}


@pytest.mark.parametrize("name", CHECKS)
def test_a_hook_keeps_its_promise(name: str, stock: Any) -> None:
    CHECKS[name](find(name), stock)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_keeps_its_promise(name: str, stock: Any) -> None:
    ATTRIBUTES[name](None, stock)


def test_every_promise_is_put_in_words() -> None:
    assert all(len(promise) > 10 for promise in _asyncio_hooks.PRIVATE.values())

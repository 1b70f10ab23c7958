"""Which host a loop has, what a host must do, and the simulated one."""

import asyncio
import datetime
import gc
import importlib
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from qtloop import EventLoop, _binding_host, _core, _host_choice, _qt

from ..support import child, foreign
from ..support.loops import HOSTS, NATIVE_HOSTS, STRATEGIES, make_host, nothing, opened, qt_core


def host_of(**arguments: Any) -> tuple[str, str]:
    loop = EventLoop(**arguments)
    try:
        return loop.host, loop.fds
    finally:
        loop.close()


@pytest.mark.parametrize("host", [*HOSTS, "sim"])
@pytest.mark.parametrize("fds", STRATEGIES)
def test_the_arguments_choose(host: str, fds: str) -> None:
    assert host_of(host=host, fds=fds) == (host, fds)


@pytest.mark.parametrize("host", [*HOSTS, "sim"])
@pytest.mark.parametrize("fds", STRATEGIES)
def test_the_environment_chooses(host: str, fds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", host)
    monkeypatch.setenv("QTLOOP_FD", fds)
    assert host_of() == (host, fds)


def test_the_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", "sim")
    monkeypatch.setenv("QTLOOP_FD", _core.POLLER)
    assert host_of(host="binding", fds="notifier") == ("binding", "notifier")


def test_an_empty_variable_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTLOOP_HOST", "")
    monkeypatch.setenv("QTLOOP_FD", "")
    assert host_of() == ("qt" if NATIVE_HOSTS else "binding", _core.POLLER)


#: What another system has.
ELSEWHERE = "kqueue" if _core.POLLER == "epoll" else "epoll"


@pytest.mark.parametrize(
    "arguments", [{"host": "cocoa"}, {"host": "QT"}, {"fds": "select"}, {"fds": ELSEWHERE}]
)
def test_an_unknown_name_is_refused(arguments: dict[str, str]) -> None:
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=f"must be .* not '{value}'"):
        EventLoop(**arguments)


@pytest.mark.parametrize("variable", ["QTLOOP_HOST", "QTLOOP_FD"])
def test_an_unknown_name_in_the_environment_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    with pytest.raises(ValueError, match=r"must be .* not 'nonsense'"):
        EventLoop()


def test_the_host_of_a_loop_cannot_be_changed() -> None:
    with opened(EventLoop) as loop:
        for attribute in ("host", "fds"):
            with pytest.raises(AttributeError):
                setattr(loop, attribute, "binding")


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        EventLoop("qt")  # type: ignore[call-arg]


@pytest.mark.parametrize("host", [*HOSTS, "sim"])
def test_every_host_keeps_the_contract(host: str) -> None:
    _core.check_host(lambda: make_host(host))


class NeverReady(_binding_host.Host):
    def arm(self) -> None: ...


class Hasty(_binding_host.Host):
    def set_deadline(self, milliseconds: int | None) -> None:
        super().set_deadline(None if milliseconds is None else milliseconds // 2)


@pytest.mark.parametrize(
    ("broken", "clause"),
    [(NeverReady, "one arm gives one Ready"), (Hasty, "a deadline is never early")],
)
def test_a_host_that_breaks_the_contract_is_told_which_clause(
    broken: type[_binding_host.Host], clause: str
) -> None:
    with pytest.raises(RuntimeError, match=f"^{clause}: "):
        _core.check_host(lambda: broken(qt_core))


def test_a_host_that_cannot_be_made_raises_what_it_raises() -> None:
    def make() -> Any:
        raise LookupError("no host here")

    with pytest.raises(LookupError, match="no host here"):
        _core.check_host(make)


def test_a_capsule_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="incorrect name"):
        EventLoop(host=datetime.datetime_CAPI)


def test_a_host_whose_start_fails_fails_the_run() -> None:
    class Homeless(_binding_host.Host):
        def start(self, reporter: Any) -> None:
            raise LookupError("no run loop here")

    loop = EventLoop(host=Homeless(qt_core))
    with pytest.raises(LookupError, match="no run loop here"):
        loop.run_forever()
    assert not loop.is_running()
    loop.close()


def test_a_host_of_ones_own_runs_a_loop() -> None:
    class Counting(_binding_host.Host):
        armed = 0

        def arm(self) -> None:
            type(self).armed += 1
            super().arm()

    with opened(lambda: EventLoop(host=Counting(qt_core))) as loop:
        loop.run_until_complete(asyncio.sleep(0.001))
    assert Counting.armed > 0


def test_simulated_loops_need_no_qt() -> None:
    outcome = child.run_bare(
        """
        import asyncio, sys, qtloop
        loop = qtloop.EventLoop(host="sim")
        loop.run_until_complete(asyncio.sleep(3600))
        loop.close()
        print([name for name in sys.modules if "QtCore" in name])
        """
    )
    assert (outcome.code, outcome.out) == (0, "[]\n"), outcome.err


def test_importing_qtloop_imports_no_qt() -> None:
    outcome = child.run_bare('import sys, qtloop; print([n for n in sys.modules if "QtCore" in n])')
    assert (outcome.code, outcome.out) == (0, "[]\n"), outcome.err


def test_an_unknown_binding_is_refused_by_name() -> None:
    outcome = child.run_bare(
        """
        import os, qtloop
        os.environ["QT_API"] = "tkinter"
        try:
            qtloop.EventLoop()
        except ImportError as error:
            print(error)
        """
    )
    assert outcome.out == "QT_API is 'tkinter', which is none of PyQt6, PySide6, PyQt5, PySide2\n"


@pytest.mark.parametrize("way_in", ["qtloop.EventLoop()", "import qtloop.compat.qasync"])
def test_a_binding_that_is_not_installed_is_refused_by_name(way_in: str) -> None:
    outcome = child.run_bare(
        f"""
        import os, qtloop
        os.environ["QT_API"] = "PySide2"
        try:
            {way_in}
        except ImportError as error:
            print(error)
        """
    )
    said = "QT_API is 'PySide2', but PySide2 is not installed\n"
    assert outcome.out.lower() == said.lower(), outcome.err


def test_the_binding_that_is_imported_already_is_used() -> None:
    """Whatever `QT_API` says: a process cannot hold two."""
    binding = qt_core.__name__.partition(".")[0]
    outcome = child.run_bare(
        f"""
        import os, sys, asyncio
        import {binding}.QtCore
        os.environ["QT_API"] = "PySide2"
        import qtloop
        qtloop.run(asyncio.sleep(0))
        print([name for name in sys.modules if name.endswith(".QtCore")])
        """
    )
    assert (outcome.code, outcome.out) == (0, f"['{binding}.QtCore']\n"), outcome.err


def test_the_name_of_the_binding_may_be_spelt_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = qt_core.__name__.partition(".")[0]
    monkeypatch.setenv("QT_API", binding.upper())
    outcome = child.run_bare("import asyncio, qtloop; print(qtloop.run(asyncio.sleep(0, 'ran')))")
    assert (outcome.code, outcome.out) == (0, "ran\n"), outcome.err


def test_a_named_loop_is_what_the_child_gets() -> None:
    """What the programs of this suite that need a process of their own rely on."""
    outcome = child.run(
        "loop = qtloop.EventLoop(); print(loop.host, loop.fds); loop.close()", "binding-notifier"
    )
    assert (outcome.code, outcome.out) == (0, "binding notifier\n")


@pytest.mark.parametrize("make", foreign.HOSTS.values(), ids=foreign.HOSTS)
def test_a_host_for_another_run_loop_keeps_the_contract(make: Callable[[], Any]) -> None:
    _core.check_host(make)


#: Streams, threads, a child, a timeout, signals, async generators: whatever there is, in debug mode
#: too.
FOREIGN_PROGRAM = """
    import asyncio, os, signal, sys, threading

    class NoBinding:
        def find_spec(self, name, path=None, target=None):
            bindings = ("PyQt6", "PySide6", "PyQt5", "PySide2", "sip", "shiboken6")
            if name.partition(".")[0] in bindings:
                raise ImportError(f"{name} must not be imported")

    sys.meta_path.insert(0, NoBinding())
    import qtloop
    from tests.python.support import foreign

    async def main():
        loop = asyncio.get_running_loop()
        serve = lambda reader, writer: (writer.write(b"hello"), writer.close())
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        print(await reader.read())
        writer.close()
        server.close()
        print(await asyncio.to_thread(sum, [1, 2]))
        child = await asyncio.create_subprocess_exec("true")
        print(await child.wait())
        got = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, got.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await got.wait()
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            print("timed out")

    def make():
        return qtloop.EventLoop(host=foreign.HOSTS[{name!r}](), fds={fds!r})

    def run(debug):
        with asyncio.Runner(loop_factory=make, debug=debug) as runner:
            runner.run(main())

    run(False)
    run(True)
    print(qtloop.run(asyncio.sleep(0, "run"), loop_factory=make))
    ask = lambda: print(asyncio.Runner(loop_factory=make).run(asyncio.sleep(0, "thread")))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    with qtloop.attach(loop_factory=make) as loop:
        print(loop.is_running())
    print([name for name in sys.modules if "QtCore" in name])
    """


@pytest.mark.parametrize("name", foreign.HOSTS)
@pytest.mark.parametrize("fds", STRATEGIES)
def test_a_host_for_another_run_loop_needs_no_qt(name: str, fds: str) -> None:
    outcome = child.run_bare(FOREIGN_PROGRAM.format(name=name, fds=fds))
    once = "b'hello'\n3\n0\ntimed out\n"
    assert (outcome.code, outcome.out) == (0, f"{once}{once}run\nthread\nTrue\n[]\n"), outcome.err


class OfQt(foreign.PollHost):
    uses_qt = True


@pytest.mark.parametrize(
    ("make", "expected"),
    [(OfQt, True), (foreign.PollHost, False), (foreign.make_capsule, False), (lambda: "sim", False)]
    + [(lambda host=host: make_host(host), True) for host in HOSTS],
)
def test_a_host_says_whether_it_needs_an_application(
    make: Callable[[], Any], expected: bool
) -> None:
    assert _host_choice.uses_qt(make()) is expected


class Gone:
    """What a binding takes for an object of Qt's: the wrapper of one that was deleted, for a
    while."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def thread(self) -> None:
        self._module.wrappers.remove(self)
        raise RuntimeError("wrapped C/C++ object of type QAbstractEventDispatcher has been deleted")


@pytest.mark.parametrize("times", [1, 2])
def test_a_dispatcher_that_is_taken_for_a_dead_one_is_asked_for_again(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.SimpleNamespace(wrappers=[])
    right = types.SimpleNamespace(thread=nothing)
    module.wrappers[:] = [*(Gone(module) for _ in range(times)), right]
    module.QAbstractEventDispatcher = types.SimpleNamespace(instance=lambda: module.wrappers[0])
    monkeypatch.setattr(_qt, "_forget_if_deleted", lambda wrapper: isinstance(wrapper, Gone))
    assert _qt.with_dispatcher(module, _qt.proven_alive) is right
    assert module.wrappers == [right]


def test_an_error_of_somebody_elses_is_not_taken_for_a_dead_dispatcher() -> None:
    def use(dispatcher: Any) -> None:
        calls.append(dispatcher)
        raise RuntimeError("the handler of a signal")

    calls: list[Any] = []
    qt_core.QEventLoop()
    with pytest.raises(RuntimeError, match="the handler of a signal"):
        _qt.with_dispatcher(qt_core, use)
    assert len(calls) == 1


def test_a_wrapper_that_was_marked_as_deleted_is_not_found_again() -> None:
    """However many keep it. PyQt tells nobody that Qt's own objects are deleted."""
    if not _qt.binding().startswith("PyQt"):
        return
    sip = importlib.import_module(f"{_qt.binding()}.sip")
    qt_core.QEventLoop()
    for _ in range(3):
        found = qt_core.QAbstractEventDispatcher.instance()
        sip.setdeleted(found)
        assert _qt._forget_if_deleted(found)
        assert _qt.with_dispatcher(qt_core, _qt.proven_alive) is not found


def test_the_objects_of_a_loop_in_a_thread_go_with_it() -> None:
    """Their parent is nobody's, and must not stay."""

    def run() -> None:
        with opened(lambda: EventLoop(host="binding")) as loop:
            loop.run_until_complete(asyncio.sleep(0))
            made.append(weakref.ref(loop_parent()))

    def loop_parent() -> Any:
        return parents[-1]

    made: list[Any] = []
    parents: list[Any] = []
    original = _qt.make_parent

    def make_parent(module: Any) -> Any:
        parents.append(original(module))
        return parents[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_qt, "make_parent", make_parent)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(parents) >= 1
    parents.clear()
    gc.collect()
    assert made[0]() is None

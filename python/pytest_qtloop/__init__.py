"""A pytest plugin for Qt programs that use asyncio through qtloop.

pytest finds it where qtloop is installed. It does nothing until a test is marked with `qtloop`, or
the option `qtloop_mode` is "auto"; until then neither Qt nor qtloop is imported. What it offers is
described in `docs/how-to/testing.md`: the marker `qtloop`, the fixtures `qtloop_application`,
`qtloop_loop` and `qtloop_errors`, and the warning `LeftBehindWarning`.

The modules beside this one import qtloop, and are imported when a test is about to need it.
"""

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from . import _items

if TYPE_CHECKING:
    from qtloop import EventLoop

    from ._runs import Run

__all__ = ["LeftBehindWarning"]


class LeftBehindWarning(pytest.PytestWarning):
    """A test has left something behind: a task, a timer, a watch over a file descriptor, a window.

    It was cleaned up. `filterwarnings = error::pytest_qtloop.LeftBehindWarning` makes an error of
    it.
    """

    __module__ = "pytest_qtloop"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "qtloop_mode",
        "'strict': tests with the marker qtloop; 'auto': every async test that no other plugin has "
        "claimed",
        default="strict",
    )
    parser.addini(
        "qtloop_application",
        "the application to make: 'core', 'gui', 'widgets', or 'auto' for the one of the modules "
        "imported",
        default="auto",
    )
    parser.addini(
        "qtloop_loop_scope",
        "how long a loop lives, and at most an async fixture: function, class, module, package or "
        "session",
        default="function",
    )
    parser.addini(
        "qtloop_timeout", "seconds that an async test or fixture may take; 0: any time", default="0"
    )
    parser.addini("qtloop_debug", "run the loops in debug mode", type="bool", default=False)
    parser.addini(
        "qtloop_find_timers",
        "look for active QTimers and QSocketNotifiers after each test, among all of Python's "
        "objects",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "qtloop(timeout=None, simulated=False, seed=None, seeds=None, debug=None): run the async "
        "test inside Qt's event loop, or let the loop work while a plain one turns that; fail it "
        "for errors in slots and callbacks",
    )
    _items.check_options(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    _items.spread_over_seeds(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function):
            _items.prepare(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    _take_over(item.config)
    checks = _checks_of(item)
    if checks is None:
        return (yield)
    checks.begin()
    try:
        return (yield)
    finally:
        checks.report("setup")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    checks = _checks_of(item)
    if checks is None:
        return (yield)
    with checks.failing("call"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    checks = _checks_of(item)
    if checks is None:
        return (yield)
    with checks.ending(), checks.failing("teardown"):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    _take_over(pyfuncitem.config)
    role = _items.role(pyfuncitem)
    if role not in ("run", "attach"):
        return None
    run: Any = pyfuncitem.funcargs["_qtloop_run"]
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    if role == "run":
        run.run(pyfuncitem, pyfuncitem.obj(**arguments), pyfuncitem.name)
    else:
        with run.attached(pyfuncitem):
            pyfuncitem.obj(**arguments)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    _take_over(request.config)
    with contextlib.ExitStack() as stack:
        if _items.is_async_fixture(fixturedef.func) and "_qtloop_run" in request.fixturenames:
            _items.check_scope(fixturedef, request.config)
            stack.enter_context(_items.made_synchronous(fixturedef, request))
        if fixturedef.scope != "function" and _items.role(request._pyfuncitem) is not None:
            stack.callback(_checks_of(request._pyfuncitem).objects.learn)
        return (yield)


def _loop_scope(
    fixture_name: str, config: pytest.Config
) -> Literal["session", "package", "module", "class", "function"]:
    return _items.loop_scope(config)


@pytest.fixture(scope="session")
def qtloop_application(request: pytest.FixtureRequest) -> Any:
    """The application, made before any loop: pytest-qt's `qapp` if that plugin is there, else what
    the option `qtloop_application` says. Closing its last window does not quit it."""
    from . import _application

    return _application.ensure(request)


@pytest.fixture
def qtloop_errors(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What loops without an exception handler of their own have reported so far in this test: the
    contexts of `loop.call_exception_handler`. What a test leaves in the list fails it."""
    checks = _checks_of(request.node)
    if checks is None:
        pytest.fail("qtloop_errors is for tests that are marked with qtloop", pytrace=False)
    errors: list[dict[str, Any]] = checks.errors
    return errors


@pytest.fixture(scope=_loop_scope)
def qtloop_loop(_qtloop_run: "Run") -> "EventLoop":
    """The loop that runs the test and its async fixtures."""
    return _qtloop_run.loop


@pytest.fixture(scope=_loop_scope)
def _qtloop_run(request: pytest.FixtureRequest) -> "Iterator[Run]":
    from . import _runs

    if not _items.options_of_node(request.node).get("simulated", False):
        request.getfixturevalue("qtloop_application")
    with _runs.opened(request) as run:
        yield run


def _checks_of(item: pytest.Item) -> Any:
    """The checks of a test that wants them."""
    if _items.role(item) is None:
        return None
    from . import _checks

    return _checks.of(item)


#: Set when qtloop, which was imported meanwhile, makes the applications of this plugin.
_has_taken_over = False


def _take_over(config: pytest.Config) -> None:
    """From now on a loop that needs an application makes the one that tests need."""
    global _has_taken_over
    if not _has_taken_over and "qtloop._loop" in sys.modules:
        from . import _application

        _application.take_over(config)
        _has_taken_over = True

"""Which tests and fixtures the plugin has to do with. Imports neither Qt nor qtloop."""

import contextlib
import inspect
import sys
import unittest
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, cast

import pytest

Scope = Literal["session", "package", "module", "class", "function"]

#: What the plugin does for a test: runs the coroutine; lets the loop work while a plain function
#: turns Qt's; only checks what another plugin runs.
Role = Literal["run", "attach", "check"]

SCOPES: Final[tuple[Scope, ...]] = ("function", "class", "module", "package", "session")
APPLICATIONS: Final = ("auto", "core", "gui", "widgets")

#: The markers of other plugins that run coroutines.
OTHERS: Final = ("asyncio", "anyio", "trio", "twisted")

#: The parameter of tests with several seeds.
SEED: Final = "_qtloop_seed"

_ROLE: Final = pytest.StashKey[Role | None]()


def check_options(config: pytest.Config) -> None:
    """Raises UsageError for an unknown value, and if two plugins would take every async test."""
    _check(config, "qtloop_mode", ("strict", "auto"))
    _check(config, "qtloop_application", APPLICATIONS)
    _check(config, "qtloop_loop_scope", SCOPES)
    try:
        float(config.getini("qtloop_timeout"))
    except ValueError:
        raise pytest.UsageError("qtloop_timeout must be a number of seconds") from None
    if config.getini("qtloop_mode") != "auto":
        return
    for plugin, option in ("asyncio", "asyncio_mode"), ("anyio", "anyio_mode"):
        if config.pluginmanager.has_plugin(plugin) and _is_auto(config, option):
            raise pytest.UsageError(
                f"{option} and qtloop_mode are both 'auto': only one can run every test"
            )


def loop_scope(config: pytest.Config) -> Scope:
    """How long a loop lives."""
    return cast(Scope, config.getini("qtloop_loop_scope"))


def prepare(item: pytest.Function) -> None:
    """Decides on the part in a test, and puts the fixtures that it needs before all others."""
    found = item.stash[_ROLE] = _role_of(item)
    options = {} if found is None else options_of_node(item)
    if found == "check" and options:
        raise pytest.UsageError(
            f"{item.nodeid}: another plugin runs this test, so the marker qtloop can only have it "
            f"checked, "
            f"and {', '.join(options)} would have no effect"
        )
    if "seeds" in options and loop_scope(item.config) != "function":
        raise pytest.UsageError(
            f"{item.nodeid}: with seeds each test needs a loop of its own "
            "(qtloop_loop_scope = function)"
        )
    first: list[str] = []
    if found is not None and not options.get("simulated", False):
        first.append("qtloop_application")
    if found in ("run", "attach"):
        first.append("_qtloop_run")
    # An application of pytest-qt's comes before loops of whatever plugin, which would make their
    # own.
    if "qapp" in item.fixturenames and "qtloop" in sys.modules and _is_async(item):
        first.insert(0, "qapp")
    rest = [name for name in item.fixturenames if name not in first]
    # Not in place: the list is that of other parameters' tests too.
    item.fixturenames = first + rest


def role(item: pytest.Item) -> Role | None:
    """What the plugin does for a test; None: nothing."""
    return item.stash.get(_ROLE, None)


def options_of_node(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """The arguments of the marker that is closest to a test, or to what its loop is for."""
    marker = node.get_closest_marker("qtloop")
    if marker is None:
        return {}
    unknown = set(marker.kwargs) - {"timeout", "simulated", "debug", "seed", "seeds"}
    if marker.args or unknown:
        wrong = ", ".join([*map(repr, marker.args), *sorted(unknown)])
        raise pytest.UsageError(
            f"{node.nodeid}: the marker qtloop takes timeout=, simulated=, debug=, seed= and "
            f"seeds=, not {wrong}"
        )
    options = dict(marker.kwargs)
    if {"seed", "seeds"} & set(options) and not options.get("simulated", False):
        raise pytest.UsageError(f"{node.nodeid}: a seed is for simulated time: simulated=True")
    if {"seed", "seeds"} <= set(options):
        raise pytest.UsageError(f"{node.nodeid}: the marker qtloop takes seed or seeds, not both")
    return options


def spread_over_seeds(metafunc: pytest.Metafunc) -> None:
    """Makes a test of each of the marker's seeds, by the name of the seed."""
    marker = metafunc.definition.get_closest_marker("qtloop")
    if marker is None or marker.kwargs.get("seeds") is None:
        return
    given = marker.kwargs["seeds"]
    if not isinstance(given, Iterable):
        pytest.fail(
            f"{metafunc.definition.nodeid}: seeds are several numbers, such as range(100), not "
            f"{given!r}",
            pytrace=False,
        )
    seeds = list(given)
    metafunc.fixturenames.append(SEED)
    metafunc.parametrize(SEED, seeds, ids=[f"seed={seed}" for seed in seeds])


def seed_of(item: pytest.Function) -> int | None:
    """The seed that a test runs with."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if SEED in params:
        return cast(int, params[SEED])
    return cast("int | None", options_of_node(item).get("seed"))


def is_async_fixture(function: Any) -> bool:
    """Whether it is a coroutine function or an async generator, and none that pytest-asyncio has
    claimed."""
    function = getattr(function, "__func__", function)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return bool(is_async) and not getattr(function, "_force_asyncio_fixture", False)


def check_scope(fixturedef: pytest.FixtureDef[Any], config: pytest.Config) -> None:
    """Fails the test if an async fixture would outlive its loop."""
    scope = loop_scope(config)
    if SCOPES.index(fixturedef.scope) > SCOPES.index(scope):
        pytest.fail(
            f"the async fixture {fixturedef.argname!r} has the scope {fixturedef.scope!r}, but its "
            f"loop is "
            f"closed at the end of each {scope}: set the option qtloop_loop_scope to "
            f"{fixturedef.scope!r}",
            pytrace=False,
        )


@contextlib.contextmanager
def made_synchronous(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Iterator[None]:
    """While a fixture is set up, a plain function stands for it, which runs it on the loop."""
    function, names = fixturedef.func, fixturedef.argnames
    needs_run, needs_request = "_qtloop_run" in names, "request" in names
    item = request._pyfuncitem if fixturedef.scope == "function" else None

    def fixture(
        _qtloop_run: Any, request: pytest.FixtureRequest, **arguments: Any
    ) -> Iterator[Any]:
        bound = function
        if request.instance is not None and inspect.ismethod(function):
            bound = function.__func__.__get__(request.instance)
        if needs_run:
            arguments["_qtloop_run"] = _qtloop_run
        if needs_request:
            arguments["request"] = request
        made: Any = bound(**arguments)
        what = f"fixture {fixturedef.argname}"
        if inspect.iscoroutine(made):
            yield _qtloop_run.run(item, made, what)
        else:
            yield _qtloop_run.run(item, anext(made), what)
            _qtloop_run.run(item, _finish(made), f"teardown of {what}")

    extra = (("_qtloop_run",) if not needs_run else ()) + (
        ("request",) if not needs_request else ()
    )
    changed = cast(Any, fixturedef)
    changed.func, changed.argnames = fixture, names + extra
    try:
        yield
    finally:
        changed.func, changed.argnames = function, names


async def _finish(generator: Any) -> None:
    """Runs an async generator from its only `yield` to its end."""
    try:
        await generator.__anext__()
    except StopAsyncIteration:
        return
    await generator.aclose()
    raise ValueError("an async fixture must yield only once")


def _role_of(item: pytest.Function) -> Role | None:
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        return None
    is_marked = item.get_closest_marker("qtloop") is not None
    is_async = inspect.iscoroutinefunction(item.obj)
    is_wanted = is_marked or (is_async and item.config.getini("qtloop_mode") == "auto")
    if not is_wanted:
        return None
    is_claimed = "anyio_backend" in item.fixturenames or any(map(item.get_closest_marker, OTHERS))
    if is_async:
        return "check" if is_claimed else "run"
    return "attach"


def _is_async(item: pytest.Function) -> bool:
    """Whether a loop has to do with it."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [definitions[-1].func for definitions in fixtures if definitions]
    return any(
        inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        for function in (item.obj, *functions)
    )


def _check(config: pytest.Config, option: str, values: tuple[str, ...]) -> None:
    value = config.getini(option)
    if value not in values:
        raise pytest.UsageError(f"{option} must be one of {', '.join(values)}, not {value!r}")


def _is_auto(config: pytest.Config, option: str) -> bool:
    return bool((config.getoption(option, None) or config.getini(option)) == "auto")

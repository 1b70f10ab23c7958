"""The package belongs to the main interpreter, and says so elsewhere."""

import sysconfig
from pathlib import Path

import pytest

import qtloop

from ..support import child
from ..support.loops import NATIVE_HOSTS, qt_core

PROGRAM = """
import importlib, sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def inside(code):
    code = f"import sys; sys.path[:] = {sys.path!r}\\n{code}"
    try:
        if hasattr(interpreters, "exec"):
            failed = interpreters.exec(interpreters.create("legacy"), code)
            print(f"{failed.type.__name__}: {failed.msg}" if failed else "no error")
        else:
            interpreters.run_string(interpreters.create(isolated=False), code)
            print("no error")
    except interpreters.RunFailedError as error:
        print(str(error).replace("<class 'ImportError'>", "ImportError"))

def check():
    import asyncio, qtloop
    loop = qtloop.EventLoop()
    assert isinstance(loop.call_soon(print, "called"), asyncio.Handle)
    assert isinstance(loop.call_later(0.001, loop.stop), asyncio.TimerHandle)
    loop.run_forever()
    loop.close()
"""

#: What the subinterpreter imports: the package, or the native host's module by itself.
IMPORTS = {"_core": "import qtloop"}
if NATIVE_HOSTS:
    # The tree may hold this module for several Pythons.
    library = Path(qtloop.__file__).with_name(f"_qt6{sysconfig.get_config_var('EXT_SUFFIX')}")
    IMPORTS["_qt6"] = f"""
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("qtloop._qt6", {str(library)!r})
spec.loader.exec_module(module_from_spec(spec))
"""

REFUSAL = (
    "ImportError: qtloop.{} can only be imported in the main interpreter, not in a subinterpreter"
)


@pytest.mark.parametrize("order", ["inside, outside", "outside, inside", "inside, outside, inside"])
@pytest.mark.parametrize("module", IMPORTS)
def test_a_subinterpreter_is_refused(name: str, module: str, order: str) -> None:
    """And costs the main interpreter nothing, whichever imports the package first."""
    steps = {"inside": f"inside({IMPORTS[module]!r})", "outside": "check()"}
    heard = {"inside": REFUSAL.format(module), "outside": "called"}
    binding = f"importlib.import_module({qt_core.__name__!r})"
    program = "\n".join([PROGRAM, binding, *(steps[step] for step in order.split(", "))])
    outcome = child.run_bare(program, name)
    assert (outcome.code, outcome.out.splitlines()) == (
        0,
        [heard[step] for step in order.split(", ")],
    ), outcome

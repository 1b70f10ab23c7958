"""Programs that have called `nest_asyncio.apply()`, with the stock loop as the oracle."""

import pytest

from ..support import child
from ..support.loops import EVERY_LOOP

APPLY = "import nest_asyncio; nest_asyncio.apply"
#: When the program patches asyncio: before qtloop is there, or with which loop in hand.
APPLIED = {
    "first": (f"{APPLY}()", "", ""),
    "afterwards": ("", f"{APPLY}()", ""),
    "to a loop of its kind": ("", f"{APPLY}(it := make_loop()); it.close()", ""),
    "inside": ("", "", f"{APPLY}()"),
}


@pytest.fixture(params=[*EVERY_LOOP])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(program: str, name: str, when: str = "first") -> child.Outcome:
    """Runs a program with a coroutine `main` on the loop of that name."""
    first, afterwards, inside = APPLIED.get(when, ("", "", ""))
    own = name == "stock"
    parts = [
        first,
        child.PREAMBLE,
        f"make_loop = {'asyncio.SelectorEventLoop' if own else 'qtloop.new_event_loop'}",
        afterwards,
        "def apply():",
        f"    {inside or 'pass'}",
        *program.splitlines(),
        "print('ended with', asyncio.Runner(loop_factory=make_loop).run(main()))",
    ]
    return child.run_bare("\n".join(parts), None if own else name)


@pytest.mark.parametrize("when", APPLIED)
def test_runs_inside_runs(name: str, when: str) -> None:
    program = """
async def inner(n):
    await asyncio.sleep(0.001)
    return n
async def deep(n):
    return n if n == 0 else asyncio.get_running_loop().run_until_complete(deep(n - 1)) + 1
async def main():
    apply()
    me, loop = asyncio.current_task(), asyncio.get_running_loop()
    print(loop.run_until_complete(inner(1)), asyncio.run(inner(2)), asyncio.run(deep(5)))
    try:
        asyncio.run(failing())
    except LookupError as error:
        print(repr(error))
    await asyncio.sleep(0)
    return asyncio.current_task() is me and asyncio.get_running_loop() is loop
async def failing():
    await asyncio.sleep(0)
    raise LookupError("reason")
"""
    outcome = run(program, name, when)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "1 2 5\nLookupError('reason')\nended with True\n"


def test_everything_else_goes_on_inside(name: str) -> None:
    program = """
import threading
async def other(log, event):
    log.append("other")
    await asyncio.sleep(0.001)
    event.set()
async def main():
    log, event, loop = [], asyncio.Event(), asyncio.get_running_loop()
    task = asyncio.create_task(other(log, event))
    ours, theirs = __import__("socket").socketpair()
    ours.setblocking(False)
    threading.Timer(0.01, loop.call_soon_threadsafe, [theirs.send, b"x"]).start()
    print(asyncio.run(loop.sock_recv(ours, 1)), asyncio.run(event.wait()), log)
    ours.close()
    theirs.close()
    await task
"""
    outcome = run(program, name)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "b'x' True ['other']\nended with None\n"


def test_the_outer_future_is_done_before_the_inner_one(name: str) -> None:
    program = """
async def inner():
    await asyncio.sleep(0.02)
    print("inner")
async def nesting():
    asyncio.run(inner())
    print("nesting")
async def main():
    task = asyncio.create_task(nesting())
    await asyncio.sleep(0.001)
    print("outer")
"""
    outcome = run(program, name)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "outer\ninner\nnesting\nended with None\n"


def test_stop_ends_the_runs_inside(name: str) -> None:
    program = """
async def main():
    loop = asyncio.get_running_loop()
    loop.call_later(0.001, loop.stop)
    try:
        loop.run_until_complete(asyncio.Event().wait())
    except RuntimeError as error:
        print(error)
        raise SystemExit(3)
"""
    outcome = run(program, name)
    assert outcome.out == "Event loop stopped before Future completed.\n"
    assert outcome.code == 3


def test_without_it_a_run_inside_a_run_is_refused(name: str) -> None:
    program = """
async def main():
    loop = asyncio.get_running_loop()
    for run in (loop.run_until_complete, lambda _: loop.run_forever()):
        inner = asyncio.sleep(0)
        try:
            run(inner)
        except RuntimeError as error:
            print(error)
        inner.close()
"""
    outcome = run(program, name, "never")
    assert outcome.out.startswith("This event loop is already running\n" * 2)


@pytest.mark.parametrize("loop", ["qt", "binding"])
def test_qtloop_run_and_the_policy(loop: str) -> None:
    program = """
import asyncio, nest_asyncio
nest_asyncio.apply()
import qtloop
async def main():
    return asyncio.run(asyncio.sleep(0.001, "inner")), type(asyncio.get_running_loop()).__name__
print(qtloop.run(main()))
qtloop.install()
asyncio.set_event_loop(None)
print(asyncio.run(main()))
asyncio.get_event_loop().close()
"""
    outcome = child.run_bare(program, f"{loop}-epoll" if loop == "binding" else None)
    assert outcome.code == 0, outcome.err
    assert outcome.out == "('inner', 'EventLoop')\n" * 2


def test_quitting_cancels_what_runs_inside() -> None:
    program = """
import asyncio, nest_asyncio
nest_asyncio.apply()
import qtloop
from qtloop import _qt
async def forever(name):
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        print(name, "told")
async def main():
    asyncio.get_running_loop().call_later(0.01, _qt.quit_application)
    try:
        asyncio.run(forever("inner"))
    except asyncio.CancelledError:
        await forever("outer")
print(qtloop.run(main()))
"""
    outcome = child.run_bare(program)
    assert (outcome.code, outcome.out) == (0, "inner told\nouter told\nNone\n"), outcome.err


def test_a_simulated_loop_says_that_it_cannot() -> None:
    program = """
import asyncio, nest_asyncio
nest_asyncio.apply()
import qtloop.testing
async def main():
    inner = asyncio.sleep(0)
    try:
        asyncio.get_running_loop().run_until_complete(inner)
    except RuntimeError as error:
        print(error)
    inner.close()
qtloop.testing.run(main())
"""
    outcome = child.run_bare(program)
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        outcome.out
        == "a loop on the host 'sim' cannot run inside its own run, even with nest_asyncio\n"
    )

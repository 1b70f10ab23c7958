"""What Python 3.14's tools say of a process that runs qtloop: the same as of one that runs stock
asyncio."""

import asyncio
import re
import subprocess
import sys
import textwrap
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..support import child

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="these tools are new in Python 3.14"
)

PROGRAM = """
    import asyncio, sys

    def factory():
        if sys.argv[1] == "stock":
            return asyncio.SelectorEventLoop()
        import qtloop
        return qtloop.EventLoop()

    async def worker(event):
        await event.wait()

    async def main():
        event = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name in ("first", "second"):
                group.create_task(worker(event), name=name)
            await asyncio.sleep(0.01)
            print("ready", flush=True)
            # A script from outside runs when Python code does.
            while True:
                await asyncio.sleep(float(sys.argv[2]))

    asyncio.Runner(loop_factory=factory).run(main())
"""


@contextmanager
def process(loop: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A program on the named loop with three tasks, of which one sleeps so long again and again."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), loop, str(seconds)]
    named = None if loop == "stock" else loop
    with subprocess.Popen(
        command,
        cwd=child.REPOSITORY,
        env=child.environment(named),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def tell(loop: str, tool: str) -> tuple[int, str]:
    """What the tool says of a program on the loop, without the numbers of this process and that."""
    with process(loop, 3600) as running:
        done = subprocess.run(
            [sys.executable, "-m", "asyncio", tool, str(running.pid)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    said = re.sub(r"0x[0-9a-f]+|\b\d{3,}\b", "N", done.stdout + done.stderr)
    return done.returncode, re.sub(r" +|-{4,}", " ", said)


@pytest.mark.parametrize("tool", ["ps", "pstree"])
def test_a_tool_shows_the_tasks_of_a_process(tool: str, name: str) -> None:
    ours, stock = tell(name, tool), tell("stock", tool)
    assert ours == stock
    # Where nobody may look into another process both fail, in the same way.
    assert stock[0] != 0 or all(task in ours[1] for task in ("Task-1", "first", "second"))


def test_a_script_runs_in_a_process(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    # Not by `print`: it may run in the midst of one.
    script.write_text("import asyncio, os; os.write(1, b'%d\\n' % len(asyncio.all_tasks()))")
    said = {}
    for loop in (name, "stock"):
        with process(loop, 0.01) as running:
            assert running.stdout is not None
            try:
                sys.remote_exec(running.pid, str(script))  # type: ignore[attr-defined]
            except PermissionError as error:
                said[loop] = str(error)
            else:
                said[loop] = running.stdout.readline()
    assert said[name] == said["stock"]


async def test_the_call_graph_of_a_task(loop: AbstractEventLoop) -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        return asyncio.format_call_graph()  # type: ignore[attr-defined,no-any-return]

    async def outer() -> str:
        async with asyncio.timeout(10):
            return await inner()

    graph = await asyncio.create_task(outer(), name="outer")
    assert "inner" in graph and "outer" in graph and "awaited" in graph.lower()

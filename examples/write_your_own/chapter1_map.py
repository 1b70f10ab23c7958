"""Chapter 1: who calls what. A loop that notes who uses its methods, and a program to watch.

The loop is the stock one. Each time somebody takes one of its methods, it notes the function that
did so. What is printed is the map of this chapter, drawn by asyncio itself.

    python examples/write_your_own/chapter1_map.py
"""

import asyncio
import sys
from collections import defaultdict
from typing import Any

PUBLIC = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("__")}
INNER = {"_run_once", "_add_reader", "_remove_reader", "_write_to_self", "_process_events"}
CALLERS: defaultdict[str, set[str]] = defaultdict(set)


class WatchedLoop(asyncio.SelectorEventLoop):
    """Notes the callers of its methods."""

    def __getattribute__(self, name: str) -> Any:
        if name in PUBLIC | INNER:
            CALLERS[name].add(sys._getframe(1).f_code.co_qualname)
        return super().__getattribute__(name)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


async def numbers() -> Any:
    yield 1
    yield 2


async def main() -> None:
    """Use a bit of everything: a timer, a thread, a server, a client, a generator left
    unfinished."""
    await asyncio.wait_for(asyncio.sleep(0.01), timeout=1)
    await asyncio.to_thread(sum, [1, 2])
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        await reader.readline()
        writer.close()
    async for _ in numbers():
        break


if __name__ == "__main__":
    # Tasks and futures are C code, whose calls have no name. Their twins in Python tell more.
    asyncio.futures.Future = asyncio.futures._PyFuture  # type: ignore[misc]
    asyncio.tasks.Task = asyncio.tasks._PyTask  # type: ignore[misc]
    asyncio.tasks.current_task = getattr(asyncio.tasks, "_py_current_task", asyncio.current_task)
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(main())
    for method, callers in sorted(CALLERS.items()):
        print(f"{method:28} {', '.join(sorted(callers))}")

"""asyncio inside NSRunLoop: `python -m examples.hosts.nsrunloop`.

A server, a child process and a countdown, next to a timer of Foundation's. Then a run loop inside
the run loop, as of a modal panel, in which the tasks go on.
"""

import argparse
import asyncio
import ctypes
import sys

import qtloop

from . import nsrunloop
from .build import library

program = library("program")
program.run_modally.argtypes = [ctypes.c_double]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = await reader.readline()
    writer.write(b"the answer to " + question)
    writer.close()


async def ask() -> str:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"everything\n")
        said = (await reader.read()).decode().strip()
        writer.close()
        return said


async def child() -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(6 * 7)", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip()


async def count(numbers: list[int]) -> None:
    while True:
        numbers.append(len(numbers))
        await asyncio.sleep(0.01)


async def main(seconds: float) -> None:
    program.start_ticking()
    for left in range(3, 0, -1):
        print(f"asking in {left}", flush=True)
        await asyncio.sleep(seconds / 3)
    said, number = await asyncio.gather(ask(), child())
    print(f"the server says: {said}\nthe child says: {number}")
    numbers: list[int] = []
    counting = asyncio.create_task(count(numbers))
    program.run_modally(0.3)
    print("a task went on meanwhile" if len(numbers) > 2 else "the tasks stood still")
    counting.cancel()
    print(
        "Foundation's timer ticked"
        if program.stop_ticking() > 5
        else "Foundation's timer stood still"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    qtloop.run(main(options.seconds), host=nsrunloop())

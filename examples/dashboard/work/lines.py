"""A subprocess whose output is read line by line, started again whenever it ends."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from ..meters import Counter

# The child hashes a few dozen files of its standard library, a line each, in no hurry.
SCRIPT = """
import hashlib, pathlib, random, sysconfig, time
library = pathlib.Path(sysconfig.get_path("stdlib"))
for path in random.sample(sorted(library.glob("*.py")), 40):
    content = path.read_bytes()
    print(hashlib.sha256(content).hexdigest()[:6], f"{len(content):>7,}", path.name, flush=True)
    time.sleep(random.uniform(0.02, 0.12))
"""


async def run_once(lines: Counter, show: Callable[[str], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    show(f"process {process.pid} started")
    try:
        async for line in process.stdout:
            lines.total += 1
            show(line.decode(errors="replace").rstrip())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):  # it may have ended by itself just now
            process.terminate()
        raise
    finally:
        show(f"process {process.pid} ended: {await process.wait()}")
    if process.returncode:
        raise RuntimeError(f"the subprocess exited with {process.returncode}")


async def read_forever(lines: Counter, show: Callable[[str], None]) -> None:
    while True:
        await run_once(lines, show)
        await asyncio.sleep(1)

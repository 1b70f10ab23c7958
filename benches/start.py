"""python -m benches.start LOOP: the shortest program on a loop, for the workload `start`."""

from __future__ import annotations

import sys

from benches.loops import LOOPS


async def main() -> None:
    """Does nothing."""


if __name__ == "__main__":
    loop = LOOPS[sys.argv[1]].make()
    loop.run_until_complete(main())
    loop.close()

"""What each bridge between asyncio and Qt can do: the table of `docs/comparison.md`.

`python -m tests.comparison` (`make comparison`) runs each probe of `probes` on each bridge of
`bridges`, in a process of its own and with a time limit, and prints the table in Markdown. All use
PySide6, since PySide6.QtAsyncio is one of them. `python -m tests.comparison.one BRIDGE PROBE` runs
one.
"""

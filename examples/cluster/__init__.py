"""A window that drives a cluster of dask.distributed: `python -m examples.cluster [--auto]`.

Client, scheduler and nannies live on the loop of the window, in its thread; the workers are
processes. Nothing blocks and nothing polls: the window shows what it awaits. With `--auto` it
clicks its own buttons, and ends. Needs `pip install distributed`.
"""

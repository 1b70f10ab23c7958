"""The workloads, one subject a file; importing this puts them all on the list, in the order of the
report."""

from benches.workloads import scheduling, threads, sockets, connections, latency  # isort: skip # noqa: F401
from benches.workloads import idle, memory, crowd, start, gui, whole  # isort: skip # noqa: F401

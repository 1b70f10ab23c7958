"""One allocation fails, whichever: that is a MemoryError, and the loop works as before."""

import importlib.util
import sys

import pytest

from ..support import child

#: Each scenario prepares something for the loop to do, and says afterwards whether it was done.
PROGRAM = """
import asyncio, contextvars, os, socket, sys, warnings
from qtloop import EventLoop
import _testcapi

warnings.simplefilter("ignore")
variable = contextvars.ContextVar("variable", default="outside")
told = []

def handler(loop, context):
    told.append(context.get("exception"))

class Protocol(asyncio.Protocol):
    def __init__(self): self.received = []
    def data_received(self, data): self.received.append(len(data))
    def datagram_received(self, data, address): self.received.append(len(data))
    def error_received(self, error): told.append(error)
    def connection_lost(self, error): told.append(error)

class Buffered(asyncio.BufferedProtocol):
    def __init__(self): self.buffer, self.received = bytearray(1_000), []
    def get_buffer(self, hint): return self.buffer
    def buffer_updated(self, count): self.received.append(count)
    def connection_lost(self, error): told.append(error)

def pair(kind=socket.SOCK_STREAM):
    ends = socket.socketpair(type=kind)
    [end.setblocking(False) for end in ends]
    return ends

async def connected(loop, make):
    here, there = pair()
    transport, protocol = await loop.create_connection(make, sock=here)
    return transport, protocol, there

def stream(loop, make=Protocol):
    transport, protocol, there = loop.run_until_complete(connected(loop, make))
    there.send(b"x" * 1_000)
    yield lambda: protocol.received
    transport.abort()
    there.close()

def buffered(loop):
    return stream(loop, Buffered)

def datagrams(loop):
    here, there = pair(socket.SOCK_DGRAM)
    made = loop.create_datagram_endpoint(Protocol, sock=here)
    transport, protocol = loop.run_until_complete(made)
    there.send(b"x" * 1_000)
    yield lambda: protocol.received
    transport.abort()
    there.close()

def pipe(loop):
    reader, writer = os.pipe()
    made = loop.connect_read_pipe(Protocol, open(reader, "rb", 0))
    transport, protocol = loop.run_until_complete(made)
    os.write(writer, b"x" * 1_000)
    yield lambda: protocol.received
    transport.close()
    os.close(writer)

def reader(loop):
    here, there = pair()
    reader, writer = loop.run_until_complete(asyncio.open_connection(sock=here))
    there.send(b"x" * 1_000)
    yield lambda: len(reader._buffer) or reader.exception()
    writer.transport.abort()
    there.close()

def task(loop, make):
    async def main():
        try:
            told.append(await make())
        except MemoryError as error:
            told.append(error)
    task = loop.create_task(main())
    task.add_done_callback(lambda task: None)
    return task

def sock_recv(loop):
    here, there = pair()
    made = task(loop, lambda: loop.sock_recv(here, 2_000))
    loop.call_soon(loop.stop)
    loop.run_forever()
    there.send(b"x" * 1_000)
    yield lambda: told
    made.cancel()
    here.close()
    there.close()

def sleep(loop):
    made = task(loop, lambda: asyncio.sleep(0.001, "slept"))
    yield lambda: told
    made.cancel()

def calls(loop):
    ran = []
    loop.call_later(0.001, ran.append, 1)
    loop.call_later(0.001, loop.call_soon, ran.append, 2)
    loop.call_later(0.001, loop.call_later, 0.001, ran.append, 3)
    yield lambda: len(ran) == 3

def in_context(loop):
    def work():
        assert variable.get() == "inside"
        loop.call_soon(done.append, bytes(1_000))
    done = []
    context = contextvars.Context()
    context.run(variable.set, "inside")
    loop.call_later(0.001, work, context=context)
    yield lambda: done
    assert context.run(variable.get) == "inside"

def run(loop, seconds=0.005):
    loop.call_later(seconds, loop.stop)
    loop.run_forever()

def is_healthy(loop):
    seen = []
    context = contextvars.copy_context()
    for _ in range(2):
        loop.call_soon(lambda: seen.append(variable.get()), context=context)
    loop.call_later(0, lambda: seen.append("timer"))
    run(loop, 0.001)
    assert seen == ["outside", "outside", "timer"], seen
    assert variable.get() == "outside" and not loop.is_running()
    assert asyncio._get_running_loop() is None

loop = {loop}()
loop.set_exception_handler(handler)
for nth in range(-1, {many}):  # None fails at first, when much is looked up for good.
    told.clear()
    steps = {scenario}(loop)
    is_done = next(steps)
    def is_over():
        return is_done() or any(isinstance(error, MemoryError) for error in told)
    # One of them may fail.
    stops = [loop.call_later(seconds, loop.stop) for seconds in (0.004, 0.005, 0.006)]
    if nth >= 0:
        loop.call_soon(_testcapi.set_nomemory, nth, nth + 1)  # Then what the scenario is about.
    try:
        loop.run_forever()
    except MemoryError as error:
        told.append(error)
    finally:
        _testcapi.remove_mem_hooks()
    [stop.cancel() for stop in stops]
    for _ in range(20):  # It was the run itself that failed, or the machine stood still.
        run(loop)
        if is_over():
            break
    assert is_over(), (nth, told)
    [None for _ in steps]
    run(loop, 0.001)
    is_healthy(loop)
loop.close()
print("survived")
"""

SCENARIOS = [
    "stream",
    "buffered",
    "datagrams",
    "pipe",
    "reader",
    "sock_recv",
    "sleep",
    "calls",
    "in_context",
]
STOCK = ["stream", "buffered", "datagrams", "pipe"]

needs_testcapi = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python cannot let allocations fail"
)


#: What the stock loop, which is Python code, survives as well.
CASES = [("EventLoop", name) for name in SCENARIOS] + [
    ("asyncio.SelectorEventLoop", name) for name in STOCK
]


# asyncio itself, on any loop, then keeps a loop that does not run as the running one.
@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not survive that")
@needs_testcapi
@pytest.mark.parametrize(("loop", "scenario"), CASES)
def test_an_allocation_fails(loop: str, scenario: str) -> None:
    outcome = child.run_bare(PROGRAM.format(loop=loop, scenario=scenario, many=80))
    assert (outcome.code, outcome.out) == (0, "survived\n"), outcome.err[-2_000:]
    assert "panicked" not in outcome.err, outcome.err[-2_000:]


def test_what_is_written_cannot_be_copied() -> None:
    """What the program may change is copied if the socket has no room for it."""
    program = """
    import asyncio, os, resource, socket
    from qtloop import EventLoop

    class Protocol(asyncio.Protocol):
        paused = []
        def pause_writing(self): self.paused.append(True)

    async def main():
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        reader, writer = os.pipe()
        stream, protocol = await loop.create_connection(Protocol, sock=here)
        pipe, _ = await loop.connect_write_pipe(Protocol, open(writer, "wb", 0))
        data = bytearray(150 << 20)
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (100 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for transport, write in [(stream, "write"), (stream, "writelines"), (pipe, "write")]:
            try:
                getattr(transport, write)([b"x", data] if write == "writelines" else data)
            except MemoryError:
                print("refused", transport.get_write_buffer_size(), protocol.paused)
        stream.write(b"goes on")
        await asyncio.sleep(0.001)
        print(stream.is_closing(), pipe.is_closing())
        stream.abort()
        pipe.abort()

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(main())
    """
    outcome = child.run_bare(program)
    expected = ["refused 0 []"] * 3 + ["False False"]
    assert (outcome.code, outcome.out.splitlines()) == (0, expected), outcome.err[-2_000:]

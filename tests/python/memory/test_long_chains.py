"""However many objects refer to each other in a row: freeing them does not use up the stack."""

import pytest

from ..support import child, extensions

#: Makes chains of so many.
LENGTH = 100_000

#: `link(last)` makes what refers to `last`. The loop is closed, then the chain forgotten.
PROGRAM = """
import asyncio, contextvars, gc, sys, warnings
from qtloop import EventLoop, _core

class Node:
    def __init__(self, **members):
        self.__dict__.update(members)
    def method(self, *args): ...

class Final(Node):
    def __del__(self):
        freed[0] += 1

def nothing(*args): ...

gc.disable()
warnings.simplefilter("ignore")
freed, length = [0], {length}
loop = {loop}
{link}
last = Final()
for _ in range(length):
    last = link(last)
{end}
assert freed == [0], freed
del last
assert freed[0] in (1, length + 1), freed
print("freed")
"""

#: Of every kind of object, and of kinds that take turns.
LINKS = {
    "methods of handles": """
def link(last):
    return loop.call_soon(getattr(last, "_run", None) or last.method)
""",
    "arguments": "def link(last): return loop.call_soon(nothing, last)",
    "arguments of timers": "def link(last): return loop.call_later(1_000, nothing, last)",
    "threadsafe": "def link(last): return loop.call_soon_threadsafe(nothing, last)",
    "attributes": "def link(last): return Node(handle=loop.call_soon(nothing, last))",
    "methods of nodes": "def link(last): return loop.call_soon(Node(last=last).method)",
    "containers": "def link(last): return loop.call_soon(nothing, [{'it': (last,)}])",
    "closures": "def link(last): return loop.call_soon(lambda: last)",
    "contexts": """
variable = contextvars.ContextVar("variable")
def link(last):
    context = contextvars.Context()
    context.run(variable.set, last)
    return loop.call_soon(nothing, context=context)
""",
    "exceptions": "def link(last): return loop.call_soon(nothing, ValueError(last))",
    "handles and timers": """
def link(last):
    return loop.call_later(1_000, nothing, Node(it=[loop.call_soon(nothing, last)]))
""",
    "futures": """
def link(last):
    future = loop.create_future()
    future.set_result(loop.call_soon(nothing, last))
    return future
""",
    "finalizers": "def link(last): return loop.call_soon(nothing, Final(last=last))",
    "coroutines": """
async def waits(last): ...
def link(last):
    return loop.call_soon(nothing, waits(last))
""",
    "socket operations": """
def link(last):
    operation = loop.sock_recv(last, 1)
    return operation if isinstance(loop, EventLoop) else Node(it=operation)
""",
}

LOOPS = {"stock": "asyncio.SelectorEventLoop()", "ours": "EventLoop()"}


def run(loop: str, link: str, end: str, length: int = LENGTH) -> None:
    outcome = child.run_bare(PROGRAM.format(loop=loop, link=link, end=end, length=length))
    assert (outcome.code, outcome.out) == (0, "freed\n"), outcome.err[-2_000:]


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_a_chain_is_freed(loop: str, link: str) -> None:
    run(loop, link, "loop.close()")


#: Objects that need a file descriptor to be made: fewer of them, on a smaller stack.
TRANSPORTS = """
import asyncio, gc, socket, sys, threading
from qtloop import EventLoop

async def closed(make, kind):
    left, right = socket.socketpair(type=kind)
    left.setblocking(False)
    with right:
        transport, _ = await make(left)
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return transport

async def main():
    loop = asyncio.get_running_loop()
    {make}
    last = None
    for _ in range(3_000):
        transport = await closed(make, socket.{kind})
        {refer}
        last = transport
    return [last]

gc.disable()
with asyncio.Runner(loop_factory={loop}) as runner:
    chain = runner.run(main())
threading.stack_size({stack} * 1024)
thread = threading.Thread(target=chain.clear)
thread.start()
thread.join()
print("freed")
"""

MAKERS = {
    "stream": "make = lambda sock: loop.create_connection(asyncio.Protocol, sock=sock)",
    "datagram": (
        "make = lambda sock: loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)"
    ),
    "reading pipe": "make = lambda sock: loop.connect_read_pipe(asyncio.Protocol, sock)",
    "writing pipe": "make = lambda sock: loop.connect_write_pipe(asyncio.BaseProtocol, sock)",
}
REFERENCES = {"attribute": "transport.last = last", "protocol": "transport.set_protocol(last)"}
#: With a stack of so many KiB. CPython's own bound is a number of objects, and not a small one.
FACTORIES = {"stock": ("asyncio.SelectorEventLoop", 8_192), "ours": ("EventLoop", 128)}


@pytest.mark.parametrize("refer", REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("loop", "stack"), FACTORIES.values(), ids=FACTORIES)
def test_a_chain_of_transports_is_freed(loop: str, stack: int, make: str, refer: str) -> None:
    kind = "SOCK_DGRAM" if "datagram" in make else "SOCK_STREAM"
    program = TRANSPORTS.format(loop=loop, stack=stack, make=make, kind=kind, refer=refer)
    outcome = child.run_bare(program)
    assert (outcome.code, outcome.out) == (0, "freed\n"), outcome.err[-2_000:]


#: `relay` makes a Rust future that waits for what it is given.
WAITERS = """
import asyncio, gc, pathlib, sys
from qtloop import EventLoop
from tests.python.support import extensions

async def waits(awaitable):
    return await awaitable

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *args: None)
    first = last = loop.create_future()
    for _ in range(20_000):
        last = rust.relay({awaited})
    for _ in range(3):
        await asyncio.sleep(0)
    {end}

rust = extensions.load(pathlib.Path({library!r}))
loop = EventLoop()
loop.run_until_complete(main())
loop.close()
gc.collect()
assert rust.alive() == 0
print("freed")
"""

AWAITED = {"futures": "last", "tasks": "loop.create_task(waits(last))"}
WAITERS_ENDS = {
    "completed": "first.set_result(7); assert await last == 7",
    "cancelled": "last.cancel(); await asyncio.wait([first])",
    "forgotten": "pass",
}


@pytest.mark.parametrize("end", WAITERS_ENDS.values(), ids=WAITERS_ENDS)
@pytest.mark.parametrize("awaited", AWAITED.values(), ids=AWAITED)
def test_a_chain_of_rust_futures_is_freed(awaited: str, end: str) -> None:
    library = str(extensions.build("rust_futures"))
    outcome = child.run_bare(WAITERS.format(awaited=awaited, end=end, library=library))
    assert (outcome.code, outcome.out) == (0, "freed\n"), outcome.err[-2_000:]

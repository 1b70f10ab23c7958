"""The hosts among the examples: they keep the contract, all of asyncio works on them, their
programs run."""

import re
import shutil
import signal
import sys
import textwrap
import zlib
from pathlib import Path

import pytest

from ..support import child
from ..support.certificates import make_certificate
from ..support.loops import STRATEGIES

#: What makes each host, and how its toolkit runs a loop inside the loop for so many seconds.
HOSTS = {
    "game": (
        "from examples.hosts.game import GameHost as make",
        """
        def modal(seconds):
            import time
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                host.step(0.002)
                time.sleep(0.002)
        """,
    ),
    "tk": (
        "from examples.hosts.tk import TkHost as make",
        """
        def modal(seconds):
            from examples.hosts.tk.host import interpreter
            milliseconds = int(seconds * 1000)
            interpreter().eval(f"set ::done 0; after {milliseconds} {{set ::done 1}}; vwait ::done")
        """,
    ),
    "glib": (
        "from examples.hosts.glib import GLibHost as make",
        """
        def modal(seconds):
            import time
            from examples.hosts.glib.host import glib
            end = time.monotonic() + seconds
            alarm = glib.g_timeout_source_new(int(seconds * 1000))
            context = glib.g_main_context_get_thread_default()
            ring = type(host._ready)(lambda _: False)
            glib.g_source_set_callback(alarm, ring, None, None)
            glib.g_source_attach(alarm, context)
            while time.monotonic() < end:
                glib.g_main_context_iteration(context, True)
        """,
    ),
    "nsrunloop": (
        "from examples.hosts.nsrunloop import nsrunloop as make",
        """
        def modal(seconds):
            from examples.hosts.nsrunloop.build import library
            library("program").run_modally(__import__("ctypes").c_double(seconds))
        """,
    ),
}

PREAMBLE = """\
import asyncio, os, signal, socket, ssl, sys, threading

class NoQt:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("PyQt6", "PySide6", "PyQt5", "PySide2", "sip", "shiboken6"):
            raise ImportError(f"{name} must not be imported")

sys.meta_path.insert(0, NoQt())
import qtloop
from qtloop import hosts
"""

CHECK = """
hosts.check(make)
print([name for name in sys.modules if "QtCore" in name])
"""

BEHAVIOUR = """
async def streams():
    big = bytes(range(256)) * 4096
    for make_server, connect in (
        (asyncio.start_server, asyncio.open_connection),
        (asyncio.start_unix_server, asyncio.open_unix_connection),
    ):
        is_unix = make_server is asyncio.start_unix_server
        address = ("\\0qtloop-%d-%d" % (os.getpid(), id(loop()))
                   if is_unix else "127.0.0.1")
        where = (address,) if is_unix else (address, 0)
        async with await make_server(echo, *where) as server:
            where = (address,) if is_unix else server.sockets[0].getsockname()
            assert await ask(connect(*where), big) == big
    return "streams"

async def tls():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain({certificate!r}, {key!r})
    client = ssl.create_default_context(cafile={certificate!r})
    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server) as listening:
        address = listening.sockets[0].getsockname()
        connecting = asyncio.open_connection(*address, ssl=client, server_hostname="localhost")
        assert await ask(connecting, bytes(300_000)) == bytes(300_000)
    return "TLS"

async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except asyncio.CancelledError:
        pass  # The program has ended. On 3.11 asyncio would report that.
    writer.close()

async def ask(connecting, data):
    reader, writer = await connecting
    writing = asyncio.create_task(send(writer, data))
    answer = await reader.readexactly(len(data))
    await writing
    writer.close()
    await writer.wait_closed()
    return answer

async def send(writer, data):
    writer.write(data)
    await writer.drain()

async def datagrams():
    got = loop().create_future()

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            got.set_result(data)

    transport, _ = await loop().create_datagram_endpoint(Once, local_addr=("127.0.0.1", 0))
    sender, _ = await loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=transport.get_extra_info("sockname"))
    sender.sendto(b"datagram")
    assert await got == b"datagram"
    sender.close()
    transport.close()
    return "datagrams"

async def children():
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
    said, _ = await process.communicate(bytes(100_000))
    assert (len(said), process.returncode) == (100_000, 0)
    return "children"

async def signals():
    got = asyncio.Event()
    loop().add_signal_handler(signal.SIGUSR1, got.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await got.wait()
    loop().remove_signal_handler(signal.SIGUSR1)
    return "signals"

async def threads():
    assert await asyncio.to_thread(sum, [1, 2]) == 3
    got = asyncio.Event()
    thread = threading.Timer(0.02, lambda running: running.call_soon_threadsafe(got.set), [loop()])
    thread.start()
    await got.wait()
    thread.join()
    return "threads"

async def timers():
    order = []
    for delay in (0.03, 0.01, 0.02, 0):
        loop().call_later(delay, order.append, delay)
    begun = loop().time()
    await asyncio.sleep(0.05)
    assert order == [0, 0.01, 0.02, 0.03] and loop().time() - begun >= 0.05
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        return "timers"

async def chains():
    left = 20_000
    done = loop().create_future()

    def step():
        nonlocal left
        left -= 1
        loop().call_soon(step) if left else done.set_result(None)

    step()
    await done
    return "chains"

async def nested():
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        connecting = asyncio.open_connection(*server.sockets[0].getsockname())
        asking = asyncio.create_task(ask(connecting, b"nested"))
        later = asyncio.create_task(asyncio.sleep(0.02, "later"))
        modal(0.3)
        assert asking.done() and later.done(), (asking, later)
        # And in the callback of a descriptor, and of a timer.
        for arrange in (lambda call: loop().call_later(0.01, call), ready_soon):
            inside, after = [], asyncio.Event()

            def call():
                loop().call_later(0.01, inside.append, "timer")
                loop().call_soon(inside.append, "soon")
                modal(0.1)
                inside.append("back")
                after.set()

            arrange(call)
            await after.wait()
            assert inside == ["soon", "timer", "back"], inside
    return "nested"

def ready_soon(call):
    ours, theirs = socket.socketpair()

    def readable():
        loop().remove_reader(ours)
        ours.close()
        theirs.close()
        call()

    loop().add_reader(ours, readable)
    theirs.send(b"x")

loop = asyncio.get_running_loop

async def main(*parts):
    loop().slow_callback_duration = 60  # Nested runs are slow callbacks.
    for part in parts:
        print(await asyncio.wait_for(part(), 15), end=" ", flush=True)
    print(loop().host)

def new_loop():
    global host
    host = make()
    return qtloop.EventLoop(host=host, fds={fds!r})

everything = [streams, tls, datagrams, children, signals, threads, timers, chains, nested]
for debug in (False, True):
    with asyncio.Runner(loop_factory=new_loop, debug=debug) as runner:
        runner.run(main(*everything))

def in_a_thread():
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(streams, tls, datagrams, children, threads, timers, chains))

thread = threading.Thread(target=in_a_thread)
thread.start()
thread.join()

with qtloop.attach(loop_factory=new_loop) as attached:
    tasks = [attached.create_task(part()) for part in (streams, tls, children, timers)]
    while not all(task.done() for task in tasks):
        modal(0.05)
print(*(task.result() for task in tasks))
print([name for name in sys.modules if "QtCore" in name])
"""

#: A display for a program, which ends though nobody ends it.
SCREEN = ["xvfb-run", "-a", "-s", "-screen 0 640x360x24", "timeout", "--signal=ABRT", "18"]

ALL = "streams TLS datagrams children signals threads timers chains nested"


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("certificate")
    make_certificate(folder / "certificate.pem", folder / "key.pem")
    return {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}


def program(host: str, text: str) -> str:
    make, modal = HOSTS[host]
    return PREAMBLE + make + "\n" + textwrap.dedent(modal) + text


def test_it_keeps_the_contract_without_qt(host: str) -> None:
    outcome = child.run_bare(program(host, CHECK))
    assert (outcome.code, outcome.out) == (0, "[]\n"), outcome.err


@pytest.mark.parametrize("fds", STRATEGIES)
def test_all_of_asyncio_works_on_it_without_qt(
    host: str, fds: str, certificate: dict[str, str]
) -> None:
    text = BEHAVIOUR
    for name, value in {**certificate, "fds": fds}.items():
        text = text.replace(f"{{{name}!r}}", repr(value))
    outcome = child.run_bare(program(host, text))
    in_a_thread = ALL.replace("signals ", "").replace(" nested", "")
    assert (outcome.code, outcome.out.splitlines()) == (
        0,
        [*[f"{ALL} {host}"] * 2, f"{in_a_thread} {host}", "streams TLS children timers", "[]"],
    ), outcome.err
    assert outcome.err == ""


def test_ctrl_c_cancels_and_is_raised(host: str) -> None:
    text = """
async def main():
    try:
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up", flush=True)

try:
    qtloop.run(main(), host=make())
except KeyboardInterrupt:
    print("interrupted")
"""
    outcome = child.run_bare(program(host, text), send=signal.SIGINT)
    assert (outcome.code, outcome.out) == (0, "cleaned up\ninterrupted\n"), outcome.err


def test_an_exception_of_a_signal_s_handler_ends_the_run(host: str) -> None:
    """Whatever the host is doing at that moment: no event of its is lost, and the next run is
    well."""
    text = """
class Told(BaseException):
    pass

def tell(*_):
    if is_armed:
        raise Told

async def busy():
    while True:
        await asyncio.sleep(0)

is_armed = False
signal.signal(signal.SIGALRM, tell)
seen = 0
for attempt in range(20):
    loop = qtloop.EventLoop(host=make())
    task = loop.create_task(busy())
    is_armed = True
    signal.setitimer(signal.ITIMER_REAL, 0.005 + attempt / 7000)
    try:
        loop.run_until_complete(task)
    except Told:
        seen += 1
    is_armed = False
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.run_until_complete(asyncio.sleep(0.002))
    loop.close()
print(seen)
"""
    outcome = child.run_bare(program(host, text))
    assert (outcome.code, outcome.out, outcome.err) == (0, "20\n", "")


# The programs.


def run_program(*command: str) -> child.Outcome:
    return child.run_command([sys.executable, "-W", "error", "-m", *command])


def run_with_a_window(*command: str) -> child.Outcome:
    assert shutil.which(SCREEN[0]), "xvfb is among the packages that the Makefile installs"
    return child.run_command([*SCREEN, sys.executable, "-W", "error", "-m", *command])


def colours(picture: Path) -> set[bytes]:
    """Those that a PNG file of `examples.hosts.screenshot` has."""
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    width = int.from_bytes(data[16:20], "big")
    start = data.index(b"IDAT") + 4
    pixels = zlib.decompress(
        data[start : start + int.from_bytes(data[start - 8 : start - 4], "big")]
    )
    line = 1 + 3 * width
    rows = [pixels[at + 1 : at + line] for at in range(0, len(pixels), line)]
    return {row[at : at + 3] for row in rows for at in range(0, len(row), 3)}


@pytest.mark.parametrize(("host", "toolkit"), [("tk", "Tk"), ("glib", "GLib")])
def test_a_window_has_a_button_that_awaits(host: str, toolkit: str, tmp_path: Path) -> None:
    picture = tmp_path / "window.png"
    outcome = run_with_a_window(f"examples.hosts.{host}", "--demo", "--screenshot", str(picture))
    assert (outcome.code, outcome.out) == (
        0,
        f"the answer to everything\n{toolkit}'s timer ticked\ncleaned up\n",
    ), outcome.err
    # Black without a window; text alone has dozens of greys.
    assert len(colours(picture)) > 20


def test_a_game_has_its_frames_while_asyncio_is_busy() -> None:
    outcome = run_program("examples.hosts.game", "--players", "2", "--pushes", "10")
    assert outcome.code == 0, outcome.err
    frames = re.fullmatch(r"\n(\d+) frames, 20 pushes, answers: \[10, 10\]\n", outcome.out)
    # A push needs a frame at least.
    assert frames and int(frames[1]) >= 10


def test_foundation_s_program_runs() -> None:
    outcome = run_program("examples.hosts.nsrunloop", "--seconds", "0.3")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        *(f"asking in {left}" for left in (3, 2, 1)),
        "the server says: the answer to everything",
        "the child says: 42",
        "a task went on meanwhile",
        "Foundation's timer ticked",
    ]


# A toolkit's own main loop, with a window.

TK = """
import tkinter
from examples.hosts.tk import TkHost
root = tkinter.Tk()
host = TkHost(root)
run_own = root.mainloop

def open_dialog(close_soon):
    dialog = tkinter.Toplevel(root)
    close_soon(dialog.destroy)
    dialog.wait_window()

when_idle = root.after_idle
"""

GTK = """
import ctypes
from examples.hosts.glib import GLibHost
from examples.hosts.glib.gtk import gtk
assert gtk.gtk_init_check(None, None)
host = GLibHost(quit=gtk.gtk_main_quit)
run_own = gtk.gtk_main
window = gtk.gtk_window_new(0)
gtk.gtk_widget_show_all(window)
gtk.gtk_dialog_new.restype = ctypes.c_void_p
gtk.gtk_dialog_run.argtypes = [ctypes.c_void_p]

def open_dialog(close_soon):
    dialog = gtk.gtk_dialog_new()
    close_soon(lambda: gtk.gtk_widget_destroy(dialog))
    gtk.gtk_dialog_run(dialog)

kept = []

def when_idle(call):
    from examples.hosts.glib.gtk import _function
    kept.append(_function(call, stays=False))
    gtk.g_idle_add_full(120, kept[-1], None, None)  # GTK paints at 120.

gtk.g_idle_add_full.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 3]
"""

ATTACHED = """
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.01)
    other = asyncio.create_task(asyncio.sleep(0.02, "went on"))
    open_dialog(lambda close: other.add_done_callback(lambda _: close()))
    print("the dialog is closed, a task", other.result())
    loop.stop()

with qtloop.attach(host=host) as loop:
    task = loop.create_task(main())
    run_own()
    print("the loop of the toolkit has ended:", task.done())
print([name for name in sys.modules if "QtCore" in name])
"""

BUSY = """
async def main():
    # The idle tasks of the toolkit, with which it paints, have their turn although asyncio is never
    # idle.
    seen = []

    def idle():
        seen.append("idle")
        if len(seen) < 5:
            when_idle(idle)

    when_idle(idle)
    while len(seen) < 5:
        await asyncio.sleep(0)
    print("call_soon")
    {reading}
    asyncio.get_running_loop().stop()

async def reading():
    ours, theirs = socket.socketpair()
    theirs.send(b"never read")
    asyncio.get_running_loop().add_reader(ours, lambda: None)
    idle, event = [], asyncio.Event()

    def see():
        idle.append("idle")
        when_idle(see) if len(idle) < 5 else event.set()

    when_idle(see)
    await event.wait()
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    theirs.close()
    print("a descriptor")
"""


def run_on_a_screen(program: str) -> child.Outcome:
    return child.run_command([*SCREEN, sys.executable, "-X", "faulthandler", "-c", program])


@pytest.mark.parametrize("toolkit", [TK, GTK], ids=["tk", "gtk"])
def test_attached_to_the_toolkit_s_own_main_loop(toolkit: str) -> None:
    outcome = run_on_a_screen(PREAMBLE + toolkit + ATTACHED)
    expected = "the dialog is closed, a task went on\nthe loop of the toolkit has ended: True\n[]\n"
    assert (outcome.code, outcome.out) == (0, expected), outcome.err


@pytest.mark.parametrize("toolkit", [TK, GTK], ids=["tk", "gtk"])
def test_the_toolkit_paints_while_asyncio_is_busy(toolkit: str) -> None:
    program = PREAMBLE + toolkit + BUSY.format(reading="await reading()")
    program += "loop = qtloop.EventLoop(host=host)\nloop.create_task(main())\n"
    program += "loop.run_forever()\nloop.close()\n"
    outcome = run_on_a_screen(program)
    assert (outcome.code, outcome.out) == (0, "call_soon\na descriptor\n"), outcome.err


@pytest.mark.parametrize("toolkit", [TK, GTK], ids=["tk", "gtk"])
def test_the_toolkit_paints_in_its_own_main_loop_while_asyncio_is_busy(toolkit: str) -> None:
    """But not in Tk's, if a descriptor is always ready."""
    program = PREAMBLE + toolkit + BUSY.format(reading="" if toolkit is TK else "await reading()")
    program += "with qtloop.attach(host=host) as loop:\n"
    program += "    task = loop.create_task(main())\n    run_own()\n"
    outcome = run_on_a_screen(program)
    assert (outcome.code, outcome.out.split()[0]) == (0, "call_soon"), outcome.err

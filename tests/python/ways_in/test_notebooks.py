"""The Jupyter kernel on qtloop, as a client sees it, and what IPython is told."""

import contextlib
import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from qtloop.notebook import _install

from ..support import child
from ..support.loops import qt_core

BINDING = qt_core.__name__.partition(".")[0]
PATIENCE = 60
IMPORTS = f"""
import asyncio, qtloop
from {BINDING}.QtCore import *
from {BINDING}.QtWidgets import *
"""
TICKING = """
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.001)
ticking = asyncio.create_task(tick())
"""


class Client:
    """A kernel, and who talks with it."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self._client = manager.client()
        self._client.start_channels()
        self.wait()

    def wait(self) -> None:
        self._client.wait_for_ready(timeout=PATIENCE)

    def close(self) -> None:
        self._client.stop_channels()

    def run(self, code: str, on_print: Callable[[], object] | None = None) -> list[str]:
        """Runs a cell. What it prints and returns, and the names of exceptions. `on_print` is
        called when it has printed something."""
        shown: list[str] = []

        def note(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"].strip())
                if on_print is not None:
                    on_print()
            elif message["msg_type"] == "error":
                shown.append(content["ename"])
            elif message["msg_type"] == "execute_result":
                shown.append(content["data"]["text/plain"])

        self._client.execute_interactive(
            code, timeout=PATIENCE, output_hook=note, allow_stdin=False
        )
        return shown


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> KernelSpecManager:
    """The kernelspec, where nobody else sees it."""
    prefix = tmp_path_factory.mktemp("prefix")
    assert _install.main(["--prefix", str(prefix), "--env", "QT_API", BINDING.lower()]) == 0
    return KernelSpecManager(kernel_dirs=[str(prefix / "share" / "jupyter" / "kernels")])


@pytest.fixture(scope="module")
def client(installed: KernelSpecManager) -> Iterator[Client]:
    manager = KernelManager(kernel_name="qtloop", kernel_spec_manager=installed)
    manager.start_kernel(
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, cwd=str(child.REPOSITORY)
    )
    client = Client(manager)
    client.run(IMPORTS)
    yield client
    client.close()
    manager.shutdown_kernel(now=True)


def test_the_installed_spec_starts_our_kernel(installed: KernelSpecManager) -> None:
    spec = installed.get_kernel_spec("qtloop")
    assert spec.argv[0] == sys.executable and "qtloop.notebook" in spec.argv
    assert (spec.display_name, spec.env["QT_API"]) == ("Python 3 (qtloop)", BINDING.lower())


def test_a_cell_awaits_a_signal(client: Client) -> None:
    assert client.run("""
timer = QTimer()
timer.setSingleShot(True)
timer.start(10)
await qtloop.emitted(timer.timeout), isinstance(asyncio.get_running_loop(), qtloop.EventLoop)
""") == ["((), True)"]


def test_a_cell_awaits_a_dialog(client: Client) -> None:
    code = "dialog = QDialog()\nQTimer.singleShot(10, dialog.accept)\n"
    assert client.run(f"{code}int(await qtloop.opened(dialog))") == ["1"]


def test_tasks_go_on_while_a_cell_is_in_exec_and_between_cells(client: Client) -> None:
    assert client.run(f"""{TICKING}
dialog = QDialog()
QTimer.singleShot(100, dialog.accept)
before = len(ticks)
result = dialog.exec()
int(result), len(ticks) > before
""") == ["(1, True)"]
    assert client.run("before = len(ticks)") == []
    assert client.run("len(ticks) > before, ticking.cancel()") == ["(True, True)"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('here')\nawait asyncio.sleep(1000)", "CancelledError"),
        ("print('here')\nwhile True: pass", "KeyboardInterrupt"),
        (
            "QTimer.singleShot(10, lambda: print('here'))\nQDialog().exec()\nprint('on')",
            "KeyboardInterrupt",
        ),
        (
            "QTimer.singleShot(10, lambda: print('here'))\nQEventLoop().exec()\nprint('on')",
            "KeyboardInterrupt",
        ),
    ],
    ids=["await", "busy", "dialog", "event loop"],
)
def test_an_interrupt_ends_the_cell_and_nothing_else(client: Client, code: str, error: str) -> None:
    client.run(TICKING)
    timer = threading.Timer(0, client.manager.interrupt_kernel)
    assert client.run(code, timer.start) == ["here", error]
    assert client.run("ticking.done(), ticking.cancel()") == ["(False, True)"]


def test_an_error_in_a_slot_is_shown(client: Client) -> None:
    assert client.run("QTimer.singleShot(0, lambda: 1 / 0)\nawait asyncio.sleep(0.1)") == [
        "ZeroDivisionError"
    ]


def test_a_quit_does_not_end_the_kernel(client: Client) -> None:
    assert client.run("QApplication.quit()\nawait asyncio.sleep(0.01)\n'alive'") == ["'alive'"]


def test_gui_and_load_ext_do_nothing_here(client: Client) -> None:
    assert client.run("%load_ext qtloop") == []
    assert client.run("%gui qt") == []
    assert client.run("%unload_ext qtloop") == []
    assert client.run("await asyncio.sleep(0, 'alive')") == ["'alive'"]


def test_restart_and_shutdown_let_tasks_clean_up_and_end_the_process(
    client: Client, tmp_path: Path
) -> None:
    def start(path: Path) -> Any:
        client.run(f"""{IMPORTS}
async def work():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.001)
        open({str(path)!r}, "w").close()
task = asyncio.create_task(work())
await asyncio.sleep(0)
""")
        return client.manager.provisioner.process

    process = start(tmp_path / "restarted")
    client.manager.restart_kernel()
    assert process.poll() == 0 and (tmp_path / "restarted").exists()
    client.wait()
    process = start(tmp_path / "shut down")
    client.manager.shutdown_kernel()
    assert process.poll() == 0 and (tmp_path / "shut down").exists()


def test_another_kernel_is_told_what_to_do() -> None:
    outcome = child.run("""
class Shell:
    kernel = object()
try:
    qtloop.load_ipython_extension(Shell())
except RuntimeError as error:
    print("qtloop.notebook install" in str(error))
print("IPython" in sys.modules, "qtloop.notebook._kernel" in sys.modules)
""")
    assert outcome.out.splitlines() == ["True", "False False"], outcome.err


def test_the_import_of_the_package_imports_nothing_of_it() -> None:
    outcome = child.run("print([name for name in sys.modules if 'otebook' in name])")
    assert outcome.out == "[]\n", outcome.err


class Terminal:
    """IPython at a terminal, and who types there."""

    def __init__(self, folder: Path) -> None:
        master, slave = pty.openpty()
        self._master = master
        environment = {
            **child.environment(None),
            "QT_API": BINDING.lower(),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "IPYTHONDIR": str(folder),
        }
        command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor"]
        self.process = subprocess.Popen(
            [*command, "--no-confirm-exit", "--no-autoindent"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=child.REPOSITORY,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(slave)
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()
        self.read_until("In [1]:")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._watchdog.cancel()
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> None:
        """Fails if it does not come before the process ends."""
        seen = ""
        while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]", "", seen):
            try:
                seen += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                pytest.fail(f"{text!r} did not come: {seen[-3000:]}")


def test_cells_of_a_terminal_await_and_windows_live_at_the_prompt(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    say = "print('%s', '{}'.format('said'))"
    try:
        terminal.type("%load_ext qtloop\r")
        terminal.read_until("In [2]:")
        terminal.type(f"import asyncio, qtloop; from {BINDING}.QtCore import *\r")
        terminal.read_until("In [3]:")
        terminal.type(f"await asyncio.sleep(0.01); {say % 'awaited'}\r")
        terminal.read_until("awaited said")
        # At the prompt, while nobody types.
        terminal.type(f"QTimer.singleShot(300, lambda: {say % 'slot'}); {say % 'set'}\r")
        terminal.read_until("set said")
        terminal.read_until("slot said")
        terminal.type(f"{say % 'waiting'}; await asyncio.sleep(1000)\r")
        terminal.read_until("waiting said")
        terminal.type("\x03")
        terminal.read_until("CancelledError")
        terminal.type(f"{say % 'nesting'}; QEventLoop().exec()\r")
        terminal.read_until("nesting said")
        terminal.type("\x03")
        terminal.read_until("KeyboardInterrupt")
        terminal.type(f"asyncio.run(asyncio.sleep(0)); {say % 'run'}\r")
        terminal.read_until("run said")
        terminal.type("%unload_ext qtloop\r")
        terminal.type(f"await asyncio.sleep(0); {say % 'unloaded'}\r")
        terminal.read_until("unloaded said")
        terminal.type("exit\r")
        with contextlib.suppress(OSError):
            while os.read(terminal._master, 65536):
                pass
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()

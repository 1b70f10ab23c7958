"""Interpreters that lack something, or leave something out: qtloop needs what asyncio needs, and no
more."""

import subprocess
import sys
import textwrap
import warnings

import pytest

import qtloop
from qtloop import _asyncio_hooks, _core

from ..support import child

#: Streams, a thread, a subprocess, a signal; the end of the program says that all went well.
PROGRAM = """
    import asyncio, signal, os
    import qtloop

    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, qtloop.EventLoop), loop
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\\n")
            print((await reader.read()).decode().strip())
            writer.close()
        print(await asyncio.to_thread(lambda: "thread"))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("/bin/echo", "child", stdout=pipe)
        print((await process.communicate())[0].decode().strip())
        loop.add_signal_handler(signal.SIGUSR1, print, "signal")
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.001)
        {more}

    qtloop.run(main())
"""

#: A fresh interpreter looks for modules where this one does, whatever its flags.
PATH = f"import sys; sys.path[:] = {sys.path!r}\n"


def run(program: str, *flags: str) -> child.Outcome:
    command = [sys.executable, "-X", "faulthandler", *flags, "-c", PATH + textwrap.dedent(program)]
    return child.run_command(command)


def said(more: str, *flags: str, before: str = "") -> list[str]:
    outcome = run(before + textwrap.dedent(PROGRAM).format(more=more), *flags)
    assert outcome.code == 0, outcome.err
    return outcome.out.splitlines()


@pytest.mark.parametrize(
    "flags", [["-S"], ["-I"], ["-OO"], ["-I", "-S", "-OO"], ["-X", "dev", "-W", "error"]]
)
def test_flags(flags: list[str]) -> None:
    assert said("pass", *flags) == ["HELLO", "thread", "child", "signal"]


def test_without_ssl() -> None:
    """TLS fails as on the stock loop, and nothing else does."""
    more = """
        try:
            await loop.create_connection(asyncio.Protocol, "127.0.0.1", 1, ssl=True)
        except Exception as error:
            print(type(error).__name__)
    """
    lines = said(
        textwrap.indent(textwrap.dedent(more), "    ").strip(),
        before="sys.modules['_ssl'] = None\n",
    )
    assert lines[:4] == ["HELLO", "thread", "child", "signal"] and len(lines) == 5


@pytest.mark.parametrize("module", ["_ctypes", "_sqlite3", "_decimal"])
def test_without_a_module_that_may_be_missing(module: str) -> None:
    assert said("pass", before=f"sys.modules['{module}'] = None\n")[-1] == "signal"


def test_the_import_warns_of_nothing() -> None:
    """On a Python that was tested. Nor does it look up what is deprecated."""
    outcome = run("import qtloop; print('imported')", "-W", "error")
    assert (outcome.code, outcome.out) == (0, "imported\n"), outcome.err


def test_a_newer_python_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _asyncio_hooks.warn_of_newer()
        _asyncio_hooks.warn_of_newer(_core.NEWEST)
    major, minor = _core.NEWEST
    with pytest.warns(
        RuntimeWarning, match=rf"tested with Python up to {major}\.{minor}, and this is 3\.99"
    ):
        _asyncio_hooks.warn_of_newer((3, 99))


def test_install_where_policies_are_deprecated() -> None:
    program = """
        import asyncio, warnings
        import qtloop
        warnings.simplefilter("always")
        with warnings.catch_warnings(record=True) as caught:
            qtloop.install()
        async def main():
            print(type(asyncio.get_running_loop()).__module__)
        asyncio.run(main())
        print([(each.category.__name__, each.lineno) for each in caught])
        """
    outcome = run(program)
    assert outcome.code == 0, outcome.err
    expected = [("DeprecationWarning", 7)] if sys.version_info >= (3, 14) else []
    assert outcome.out.splitlines() == ["qtloop._loop", str(expected)]


def test_install_where_there_are_no_policies() -> None:
    program = """
        from asyncio import unix_events
        for name in ("_DefaultEventLoopPolicy", "DefaultEventLoopPolicy"):
            if hasattr(unix_events, name):
                delattr(unix_events, name)
        import qtloop
        for call in (qtloop.install, qtloop.EventLoopPolicy):
            try:
                call()
            except RuntimeError as error:
                print(error)
        """
    lines = run(program).out.splitlines()
    assert len(lines) == 2
    assert all(
        line.startswith("this Python has no event loop policies: use qtloop.run()")
        for line in lines
    )


def test_the_package_says_which_python_is_the_newest() -> None:
    metadata = subprocess.run(
        ["grep", "-o", r"Python :: 3\.[0-9]*", "pyproject.toml"],
        cwd=child.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert metadata.stdout.split("\n")[-2] == f"Python :: 3.{_core.NEWEST[1]}"
    assert qtloop.__version__

"""Ctrl-C, wherever the loop is.

A program that is to be interrupted says "ready" from a timer: the signal then finds the loop
asleep.
"""

import signal
from typing import Any

import pytest

from qtloop import EventLoop, _binding_host

from ..support import child
from ..support.loops import nothing, opened


def interrupted(program: str, loop: str) -> child.Outcome:
    return child.run(program, loop, send=signal.SIGINT)


SAY_READY = "loop.call_later(0.05, lambda: print('ready', flush=True))"


def test_ctrl_c_ends_an_idle_loop_at_once(name: str) -> None:
    outcome = interrupted(
        f"""
        loop = qtloop.EventLoop()
        {SAY_READY}
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running())
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print("closed")
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "interrupted False\nclosed\n", "")


def test_an_interrupt_sent_by_a_thread_ends_an_idle_loop_too(name: str) -> None:
    """The main thread then sleeps on, undisturbed by the signal itself: only the wakeup fd tells
    it."""
    outcome = child.run(
        """
        loop = qtloop.EventLoop()
        interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        loop.call_later(0.01, interrupt.start)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "interrupted\n", "")


def test_ctrl_c_in_run_forever_without_except_ends_the_program(name: str) -> None:
    outcome = interrupted(
        f"""
        loop = qtloop.EventLoop()
        {SAY_READY}
        loop.run_forever()
        """,
        name,
    )
    assert outcome.code == -signal.SIGINT
    assert outcome.err.rstrip().endswith("KeyboardInterrupt")


MAIN_WITH_FINALLY = """
    async def main():
        loop = asyncio.get_running_loop()
        {say_ready}
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("cancelled")
            await asyncio.sleep(0.01)
            raise
        finally:
            await asyncio.sleep(0.01)
            print("cleaned up")

    try:
        {run}
    except KeyboardInterrupt:
        print("KeyboardInterrupt")
    """

RUNS = {
    "qtloop.run": "qtloop.run(main())",
    "Runner": "asyncio.Runner(loop_factory=qtloop.new_event_loop).run(main())",
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_ctrl_c_cancels_main_and_lets_it_clean_up(name: str, run: str) -> None:
    outcome = interrupted(MAIN_WITH_FINALLY.format(say_ready=SAY_READY, run=run), name)
    assert outcome.out == "cancelled\ncleaned up\nKeyboardInterrupt\n"
    assert outcome.code == 0


def test_a_second_ctrl_c_ends_a_main_that_ignores_the_first(name: str) -> None:
    outcome = interrupted(
        f"""
        async def main():
            loop = asyncio.get_running_loop()
            while True:
                {SAY_READY}
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    print("ignored")
                    if asyncio.current_task().cancelling() > 1:
                        return

        try:
            qtloop.run(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
        name,
    )
    assert outcome.out.startswith("ignored\n")
    assert outcome.out.endswith("KeyboardInterrupt\n")
    assert outcome.code == 0


def test_ctrl_c_ends_a_loop_that_is_busy(name: str) -> None:
    outcome = interrupted(
        """
        async def spin():
            print("ready", flush=True)
            while True:
                await asyncio.sleep(0)

        try:
            qtloop.run(spin())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "KeyboardInterrupt\n")


def test_ctrl_c_can_be_handled_instead(name: str) -> None:
    outcome = interrupted(
        f"""
        async def main():
            loop = asyncio.get_running_loop()
            asked = asyncio.Event()
            loop.add_signal_handler(signal.SIGINT, asked.set)
            {SAY_READY}
            await asked.wait()
            loop.remove_signal_handler(signal.SIGINT)
            return "asked to leave"

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "asked to leave\n", "")


def test_ctrl_c_reaches_the_main_thread_while_a_loop_runs_in_another(name: str) -> None:
    """The wake-up fd is there since Python does not notice a signal that comes just before a wait
    begins."""
    outcome = interrupted(
        """
        import select, socket
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        app = qt_core.QCoreApplication([])
        loop = qtloop.EventLoop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            loop.call_soon_threadsafe(lambda: print("ready", flush=True))
            while True:
                select.select([reader], [], [])
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "KeyboardInterrupt\n", "")


@pytest.mark.parametrize("method", ["arm", "disarm", "set_deadline"])
def test_ctrl_c_in_the_midst_of_the_binding_host(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What was to be done is done, and the run ends all the same."""
    original = getattr(_binding_host.Host, method)
    calls: list[Any] = []

    def interrupted(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        original(*arguments)

    with opened(lambda: EventLoop(host="binding")) as loop:
        loop.call_later(0.001, nothing)
        loop.call_later(3600, nothing)
        monkeypatch.setattr(_binding_host.Host, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        monkeypatch.undo()
    assert len(calls) >= 2 and calls[0] == calls[1]

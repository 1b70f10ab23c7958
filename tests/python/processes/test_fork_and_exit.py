"""The loop and the life of its process: fork, exit, and a QApplication that comes and goes."""

from ..support import child


def test_a_loop_made_before_a_fork_can_be_closed_in_the_child(name: str) -> None:
    outcome = child.run(
        """
        loop = qtloop.EventLoop()
        loop.run_until_complete(asyncio.sleep(0))
        pid = os.fork()
        if pid == 0:
            loop.close()
            os._exit(7)
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "7\n", "")


def test_a_loop_made_after_a_fork_runs_in_the_child(name: str) -> None:
    """Qt is first used in the child: its dispatcher does not survive a fork."""
    outcome = child.run(
        """
        pid = os.fork()
        if pid == 0:
            with asyncio.Runner(loop_factory=qtloop.new_event_loop) as runner:
                code = runner.run(asyncio.sleep(0.001, 7))
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "7\n")


def test_fork_inside_a_task_leaves_the_parents_loop_unharmed(name: str) -> None:
    outcome = child.run(
        """
        async def main():
            pid = os.fork()
            if pid == 0:
                os._exit(7)
            await asyncio.sleep(0.01)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        print(qtloop.run(main()))
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "7\n", "")


def test_a_program_that_never_closes_its_loop_exits_cleanly(name: str) -> None:
    outcome = child.run(
        """
        loop = qtloop.EventLoop()
        loop.call_later(100, print, "never")
        loop.add_reader(os.pipe()[0], print)
        loop.run_until_complete(asyncio.sleep(0.001))
        print("done")
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "done\n")


def test_a_program_that_exits_inside_a_callback_exits_cleanly(name: str) -> None:
    outcome = child.run(
        """
        loop = qtloop.EventLoop()
        loop.call_soon(sys.exit, 5)
        loop.run_forever()
        """,
        name,
    )
    assert (outcome.code, outcome.err) == (5, "")


def test_a_loop_may_outlive_its_application(name: str) -> None:
    """And run again, once there is another one."""
    outcome = child.run(
        """
        import gc
        app = qt_core.QCoreApplication([])
        loop = qtloop.EventLoop()
        loop.run_until_complete(asyncio.sleep(0.001))
        destroy = getattr(app, "shutdown", None)
        if destroy:
            destroy()
        del app
        gc.collect()
        print(qt_core.QCoreApplication.instance() is None)
        loop.call_later(100, print)
        loop.run_until_complete(asyncio.sleep(0.001))
        print("ran with a new application")
        loop.close()
        """,
        name,
    )
    assert (outcome.code, outcome.out) == (0, "True\nran with a new application\n"), outcome.err


def test_a_loop_can_be_closed_or_freed_when_the_application_is_gone(name: str) -> None:
    outcome = child.run(
        """
        import gc, warnings
        warnings.simplefilter("ignore", ResourceWarning)
        app = qt_core.QCoreApplication([])
        loops = [qtloop.EventLoop() for _ in range(2)]
        for loop in loops:
            loop.run_until_complete(asyncio.sleep(0.001))
            loop.call_soon(print)
            loop.call_later(100, print)
            loop.add_reader(loop._ssock.dup(), print)
        destroy = getattr(app, "shutdown", None)
        if destroy:
            destroy()
        del app
        gc.collect()
        loops.pop().close()
        del loop, loops
        gc.collect()
        print("still alive")
        """,
        name,
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, "still alive\n", "")


def test_a_loop_in_a_thread_needs_an_application_first(name: str) -> None:
    outcome = child.run(
        """
        def run():
            loop = qtloop.EventLoop()
            coroutine = asyncio.sleep(0)
            try:
                loop.run_until_complete(coroutine)
            except RuntimeError as error:
                print(error)
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        """,
        name,
    )
    assert outcome.out == (
        "no QCoreApplication exists: create one in the main thread before a loop runs in another\n"
    )
    assert outcome.code == 0

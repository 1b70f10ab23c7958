"""`ThreadPoolExecutor`: beside the standard library's, which is the oracle, and what QThreadPool
adds."""

import asyncio
import concurrent.futures
import gc
import sys
import threading
import time
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

import pytest

from qtloop._thread_pool import ThreadPoolExecutor

from ..support import child
from ..support.loops import Errors, failure, nothing, qt_core

PATIENCE = 20


def on_a_pool_of_its_own(*args: Any, **kwargs: Any) -> Executor:
    pool = qt_core.QThreadPool()
    pool.setMaxThreadCount(4)
    return ThreadPoolExecutor(*args, pool=pool, **kwargs)


def on_the_global_pool(*args: Any, **kwargs: Any) -> Executor:
    pool = qt_core.QThreadPool.globalInstance()
    pool.setMaxThreadCount(4)
    return ThreadPoolExecutor(*args, pool=pool, **kwargs)


OURS: dict[str, Callable[..., Executor]] = {
    "own": ThreadPoolExecutor,
    "shared": on_a_pool_of_its_own,
    "global": on_the_global_pool,
}
EVERY: dict[str, Callable[..., Executor]] = {"stock": concurrent.futures.ThreadPoolExecutor, **OURS}


@pytest.fixture(params=EVERY)
def make(request: pytest.FixtureRequest) -> Callable[..., Executor]:
    return EVERY[request.param]


@pytest.fixture(params=OURS)
def make_ours(request: pytest.FixtureRequest) -> Callable[..., Executor]:
    return OURS[request.param]


class Gate:
    """A job that is at work until it is let go."""

    def __init__(self, executor: Executor) -> None:
        self._begun, self._opened = threading.Event(), threading.Event()
        self.future = executor.submit(self._hold)
        assert self._begun.wait(PATIENCE)

    def _hold(self) -> str:
        self._begun.set()
        assert self._opened.wait(PATIENCE)
        return "held"

    def open(self) -> None:
        self._opened.set()


def results(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(PATIENCE) for future in futures]


def test_results_and_exceptions_come_back(make: Callable[..., Executor]) -> None:
    error = LookupError("kept as it is")

    def fail() -> None:
        raise error

    with make(2) as executor:
        assert executor.submit(divmod, 7, 2).result(PATIENCE) == (3, 1)
        assert executor.submit(int, "ff", base=16).result(PATIENCE) == 255
        assert executor.submit(fail).exception(PATIENCE) is error
        assert executor.submit(sys.exit, 3).exception(PATIENCE).code == 3  # type: ignore[union-attr]
        assert executor.submit(nothing).result(PATIENCE) is None


def test_one_worker_keeps_the_order(make: Callable[..., Executor]) -> None:
    done: list[int] = []
    with make(1) as executor:
        for n in range(1_000):
            executor.submit(done.append, n)
    assert done == list(range(1_000))


def test_map(make: Callable[..., Executor]) -> None:
    with make(3) as executor:
        assert list(executor.map(pow, range(50), [2] * 50)) == [n * n for n in range(50)]
        with pytest.raises(ZeroDivisionError):
            list(executor.map(lambda n: 1 // n, [1, 0]))


def test_map_times_out(make: Callable[..., Executor]) -> None:
    with make(1) as executor:
        gate = Gate(executor)
        with pytest.raises(TimeoutError):
            list(executor.map(nothing, [1], timeout=0.01))
        gate.open()


def test_at_most_max_workers_at_once_and_as_many_if_asked(make: Callable[..., Executor]) -> None:
    together = threading.Barrier(3)
    lock, now, most = threading.Lock(), 0, 0

    def job() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(PATIENCE)
        with lock:
            now -= 1

    with make(3) as executor:
        results([executor.submit(job) for _ in range(30)])
    assert most == 3


def test_a_job_that_has_not_begun_can_be_cancelled(make: Callable[..., Executor]) -> None:
    ran: list[str] = []
    with make(1) as executor:
        gate = Gate(executor)
        waiting = [executor.submit(ran.append, "waited") for _ in range(3)]
        assert waiting[1].cancel()
        assert not gate.future.cancel()
        gate.open()
        assert gate.future.result(PATIENCE) == "held"
    assert ran == ["waited", "waited"]
    assert waiting[1].cancelled()
    with pytest.raises(CancelledError):
        waiting[1].result()


def test_shutdown_waits_for_all_jobs(make: Callable[..., Executor]) -> None:
    done: list[int] = []

    def job(n: int) -> None:
        time.sleep(0.001)
        done.append(n)

    executor = make(2)
    for n in range(20):
        executor.submit(job, n)
    executor.shutdown()
    assert sorted(done) == list(range(20))


def test_shutdown_without_waiting(make: Callable[..., Executor]) -> None:
    executor = make(1)
    gate = Gate(executor)
    waiting = executor.submit(int, "5")
    executor.shutdown(wait=False)
    assert not gate.future.done()
    gate.open()
    assert waiting.result(PATIENCE) == 5
    executor.shutdown()


def test_shutdown_can_cancel_what_has_not_begun(make: Callable[..., Executor]) -> None:
    executor = make(1)
    gate = Gate(executor)
    waiting = [executor.submit(nothing) for _ in range(5)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    gate.open()
    executor.shutdown()
    assert gate.future.result() == "held"


def test_who_waits_for_several_hears_of_a_cancelling_shutdown(
    make_ours: Callable[..., Executor],
) -> None:
    """The standard library's waiter is not told."""
    executor = make_ours(1)
    gate = Gate(executor)
    waiting = executor.submit(nothing)
    executor.shutdown(wait=False, cancel_futures=True)
    done, _ = concurrent.futures.wait([waiting], PATIENCE)
    assert done == {waiting}
    gate.open()
    executor.shutdown()


def outcome_of_a_job(executor: Executor, job: Callable[[], Any]) -> Any:
    return executor.submit(failure, job).result(PATIENCE)


REFUSED: dict[str, Callable[[Callable[..., Executor]], Any]] = {
    "submit after shutdown": lambda make: _shut(make()).submit(nothing),
    "map after shutdown": lambda make: _shut(make()).map(nothing, [1]),
    "no workers": lambda make: make(0),
    "fewer than none": lambda make: make(-1),
    "initializer": lambda make: make(1, initializer="nothing"),
    "no function": lambda make: make(1).submit(),
}


def _shut(executor: Executor) -> Executor:
    executor.shutdown()
    return executor


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_the_standard_library_does(
    make_ours: Callable[..., Executor], call: Callable[[Any], Any]
) -> None:
    expected = failure(lambda: call(concurrent.futures.ThreadPoolExecutor))
    assert expected is not None
    ours = failure(lambda: call(make_ours))
    assert ours is not None
    assert ours[0] is expected[0]
    assert (
        ours[1].replace("()", "") == expected[1].replace("()", "") or call is REFUSED["no function"]
    )


def test_a_job_may_not_wait_for_its_own_end(make: Callable[..., Executor]) -> None:
    with make(1) as executor:
        assert outcome_of_a_job(executor, executor.shutdown) == (
            RuntimeError,
            "cannot join current thread",
        )


def test_a_job_may_submit_jobs_and_wait_for_them(make: Callable[..., Executor]) -> None:
    with make(2) as executor:
        assert (
            executor.submit(lambda: executor.submit(int, "7").result(PATIENCE)).result(PATIENCE)
            == 7
        )


def test_an_executor_that_is_forgotten_does_its_jobs(make: Callable[..., Executor]) -> None:
    done: list[int] = []
    executor = make(1)
    gate = Gate(executor)
    futures = [executor.submit(done.append, n) for n in range(10)]
    alive = weakref.ref(executor)
    del executor
    gc.collect()
    assert alive() is None
    gate.open()
    results(futures)
    assert done == list(range(10))


def test_a_pool_that_only_its_worker_holds_ends_its_thread() -> None:
    """It must not be deleted in that, which would wait for itself."""
    program = """
    import pathlib
    from contextlib import suppress
    from time import monotonic, sleep
    from qtloop._thread_pool import ThreadPoolExecutor

    def threads():
        names = []
        for task in pathlib.Path("/proc/self/task").glob("*/comm"):
            with suppress(ProcessLookupError, FileNotFoundError):  # It ends just now.
                names.append(task.read_text())
        return names.count("Thread (pooled)\\n")

    def submit(job):
        pool = qt_core.QThreadPool()
        pool.setExpiryTimeout(0)
        return ThreadPoolExecutor(1, pool=pool).submit(job)

    app = qt_core.QCoreApplication([])
    for _ in range(20):
        go = threading.Event()
        future = submit(go.wait)
        go.set()
        future.result()
    end = monotonic() + 10
    while threads() and monotonic() < end:  # Nothing is said when a thread of a pool ends.
        sleep(0.01)
    print(threads())
    """
    outcome = child.run(program)
    assert (outcome.code, outcome.out) == (0, "0\n"), outcome.err


def test_thousands_of_jobs_leave_nothing_behind(make_ours: Callable[..., Executor]) -> None:
    """Neither objects nor, before Python 3.13, dummies on Python's list of threads."""

    class Token:
        pass

    def job(token: Token) -> str:
        return threading.current_thread().name

    threads = set(threading.enumerate())
    tokens = weakref.WeakSet[Token]()
    with make_ours(8, "crew") as executor:
        for burst in range(100):
            made = [Token() for _ in range(100)]
            tokens.update(made)
            names = set(results([executor.submit(job, token) for token in made]))
            assert names <= {f"crew_{n}" for n in range(8)}
            del made
            if burst % 20 == 0:
                gc.collect()
    gc.collect()
    assert not tokens
    # What an earlier test left may have ended.
    assert set(threading.enumerate()) <= threads


def test_bursts_from_many_threads_are_all_done_once(make_ours: Callable[..., Executor]) -> None:
    done: list[tuple[int, int]] = []
    with make_ours(4) as executor:

        def send(thread: int) -> None:
            for n in range(1_000):
                executor.submit(done.append, (thread, n))

        senders = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert sorted(done) == [(thread, n) for thread in range(8) for n in range(1_000)]


def test_an_exception_keeps_no_future(make: Callable[..., Executor]) -> None:
    with make(1) as executor:
        future = executor.submit(lambda: 1 / 0)
        error = future.exception(PATIENCE)
        alive = weakref.ref(future)
    gc.disable()
    try:
        del future
        assert alive() is None
    finally:
        gc.enable()
    assert isinstance(error, ZeroDivisionError)


def test_jobs_run_in_threads_of_qt(make_ours: Callable[..., Executor]) -> None:
    """A thread of a pool has a QThread of Qt's own making, with the name that the pool gave it."""
    with make_ours(1) as executor:
        name = executor.submit(lambda: qt_core.QThread.currentThread().objectName()).result(
            PATIENCE
        )
    assert name == "Thread (pooled)"


def test_an_initializer_prepares_each_worker(make: Callable[..., Executor]) -> None:
    local = threading.local()

    def prepare(value: str) -> None:
        local.value = value

    with make(2, initializer=prepare, initargs=("prepared",)) as executor:
        for _ in range(20):
            futures = [executor.submit(lambda: local.value) for _ in range(10)]
            assert results(futures) == ["prepared"] * 10


def test_thread_local_data_does_not_outlive_a_worker() -> None:
    """A departure: the threads of the standard library stay. An initializer is the place for such
    data."""
    local = threading.local()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(setattr, local, "value", 1).result(PATIENCE)
        executor._crew.join()  # The worker has found no more jobs.
        assert not executor.submit(hasattr, local, "value").result(PATIENCE)


def test_an_initializer_that_fails_breaks_the_executor(
    make: Callable[..., Executor], caplog: pytest.LogCaptureFixture
) -> None:
    may_fail = threading.Event()

    def fail() -> None:
        may_fail.wait(PATIENCE)
        raise LookupError("no initial value")

    executor = make(1, initializer=fail)
    futures = [executor.submit(nothing) for _ in range(3)]
    if make is not EVERY["stock"]:  # Whose worker would fail on it.
        assert futures.pop().cancel()
    may_fail.set()
    for future in futures:
        error = future.exception(PATIENCE)
        assert isinstance(error, concurrent.futures.thread.BrokenThreadPool)
        assert "initializer failed" in str(error)
    with pytest.raises(concurrent.futures.BrokenExecutor):
        executor.submit(nothing)
    executor.shutdown()
    assert "no initial value" in caplog.text


def test_a_callback_that_exits_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as executor:
        gate = Gate(executor)
        gate.future.add_done_callback(lambda _: sys.exit(1))
        after = executor.submit(int, "1")
        gate.open()
        assert after.result(PATIENCE) == 1
    assert "Exception in worker" in caplog.text


def test_a_pool_is_shared_with_others() -> None:
    """The pool bounds all who use it, and each executor bounds itself."""
    pool = qt_core.QThreadPool()
    pool.setMaxThreadCount(2)
    done = threading.Event()
    with ThreadPoolExecutor(1, pool=pool) as one, ThreadPoolExecutor(pool=pool) as other:
        first = Gate(one)
        waiting = one.submit(int, "1")  # There is a thread, but `one` has but one worker.
        pool.start(done.set)
        assert done.wait(PATIENCE)
        second = Gate(other)
        third = other.submit(int, "3")  # `other` may have two workers, but no thread is left.
        assert not waiting.done() and not third.done()
        first.open()
        second.open()
        assert results([waiting, third]) == [1, 3]
    assert pool.waitForDone(PATIENCE * 1000)


def test_the_size_is_that_of_the_pool() -> None:
    pool = qt_core.QThreadPool()
    pool.setMaxThreadCount(3)
    with ThreadPoolExecutor(pool=pool) as executor:
        gates = [Gate(executor) for _ in range(3)]
        pool.setMaxThreadCount(10)
        waiting = executor.submit(nothing)
        assert not waiting.done()
        for gate in gates:
            gate.open()
    assert waiting.done()


def test_without_a_pool_executors_do_not_wait_for_each_other() -> None:
    """Nor for whoever fills Qt's global pool."""
    executors = [ThreadPoolExecutor(1) for _ in range(40)]
    gates = [Gate(executor) for executor in executors]
    for gate, executor in zip(gates, executors, strict=True):
        gate.open()
        executor.shutdown()


def test_a_pool_that_was_deleted_is_named(delete: Callable[[Any], None]) -> None:
    pool = qt_core.QThreadPool()
    executor = ThreadPoolExecutor(1, pool=pool)
    assert executor.submit(int, "1").result(PATIENCE) == 1
    executor.shutdown()
    executor = ThreadPoolExecutor(1, pool=pool)
    delete(pool)
    with pytest.raises(RuntimeError, match="deleted"):
        executor.submit(nothing)
    executor.shutdown()


@pytest.fixture
def delete() -> Callable[[Any], None]:
    """Deletes the C++ object under a wrapper."""
    if qt_core.__name__.startswith("PySide"):
        from shiboken6 import delete

        return delete  # type: ignore[no-any-return]
    package = qt_core.__name__.partition(".")[0]
    return __import__(f"{package}.sip").sip.delete  # type: ignore[no-any-return]


@pytest.fixture
def trace() -> Iterator[list[str]]:
    """The names of functions that threads enter while `threading.settrace` is set."""
    entered: list[str] = []
    before = threading.gettrace()
    threading.settrace(lambda frame, event, arg: entered.append(frame.f_code.co_name))
    yield entered
    threading.settrace(before)  # type: ignore[arg-type]


def test_debuggers_and_coverage_see_the_jobs(
    make: Callable[..., Executor], trace: list[str]
) -> None:
    def traced_job() -> None:
        pass

    with make(1) as executor:
        executor.submit(traced_job).result(PATIENCE)
    assert "traced_job" in trace


async def test_a_loop_runs_calls_in_it(qt_loop: AbstractEventLoop) -> None:
    with ThreadPoolExecutor(3) as executor:
        jobs = [qt_loop.run_in_executor(executor, pow, n, 2) for n in range(300)]
        assert await asyncio.gather(*jobs) == [n * n for n in range(300)]
        with pytest.raises(ZeroDivisionError):
            await qt_loop.run_in_executor(executor, lambda: 1 / 0)


async def test_cancelling_the_awaiting_task_cancels_a_job_that_waits(
    qt_loop: AbstractEventLoop,
) -> None:
    ran: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        gate = Gate(executor)
        job = qt_loop.run_in_executor(executor, ran.append, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 0.001)
        gate.open()
    assert not ran


def test_it_can_be_a_loops_default(qt_loop: AbstractEventLoop, errors: Errors) -> None:
    executor = ThreadPoolExecutor(2, "default")
    qt_loop.set_default_executor(executor)

    async def main() -> None:
        assert (await asyncio.to_thread(lambda: threading.current_thread().name)).startswith(
            "default_"
        )
        assert await qt_loop.run_in_executor(None, int, "5") == 5
        assert await qt_loop.getaddrinfo("127.0.0.1", 1)

    qt_loop.run_until_complete(main())
    qt_loop.run_until_complete(qt_loop.shutdown_default_executor())
    with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
        executor.submit(nothing)


def test_closing_the_loop_shuts_its_default_down(qt_loop: AbstractEventLoop) -> None:
    executor = ThreadPoolExecutor(1)
    qt_loop.set_default_executor(executor)
    gate = Gate(executor)
    qt_loop.close()
    gate.open()
    assert gate.future.result(PATIENCE) == "held"
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(nothing)


AT_EXIT = """\
    import time
    from qtloop._thread_pool import ThreadPoolExecutor
    pool = {pool}
    executor = ThreadPoolExecutor(1, pool=pool)
"""
POOLS = {
    "own": "None",
    "shared": "qt_core.QThreadPool()",
    "global": "qt_core.QThreadPool.globalInstance()",
}


@pytest.fixture(params=POOLS.values(), ids=POOLS)
def at_exit(request: pytest.FixtureRequest) -> str:
    return AT_EXIT.format(pool=request.param)


def test_jobs_are_done_before_the_interpreter_ends(at_exit: str) -> None:
    program = """
    ending = threading.Event()
    threading._register_atexit(ending.set)
    executor.submit(ending.wait)
    for n in range(5):
        executor.submit(lambda n=n: (time.sleep(0.01), print(n, flush=True)))
    print("end of the main thread", flush=True)
    """
    outcome = child.run(at_exit + program)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == ["end of the main thread", *map(str, range(5))]


def test_no_jobs_are_taken_while_the_interpreter_ends(at_exit: str) -> None:
    program = """
    def job():
        ending.wait()
        while True:
            try:
                executor.submit(int)
            except RuntimeError as error:
                print(error, flush=True)
                break
    ending = threading.Event()
    threading._register_atexit(ending.set)
    executor.submit(job)
    """
    outcome = child.run(at_exit + program)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "cannot schedule new futures after interpreter shutdown\n"


def test_an_interpreter_that_ends_right_after_a_job_does_not_crash(at_exit: str) -> None:
    for _ in range(5):
        outcome = child.run(at_exit + "    executor.submit(print, 'done', flush=True)\n")
        assert (outcome.code, outcome.out, outcome.err) == (0, "done\n", "")


def test_a_child_after_a_fork_has_executors_of_its_own() -> None:
    """And can end as a program does. PySide's atexit function, if there is an application, would
    delete the parent's pool in the child, and hang."""
    program = """
    import faulthandler
    from qtloop._thread_pool import ThreadPoolExecutor
    parents = ThreadPoolExecutor(2)
    begun, held = threading.Event(), threading.Event()
    job = parents.submit(lambda: (begun.set(), held.wait(), "parent's")[-1])
    begun.wait()
    pid = os.fork()
    if pid == 0:
        faulthandler.dump_traceback_later(15, exit=True)
        print(ThreadPoolExecutor(2).submit(str, "child's").result(10), flush=True)
        sys.exit(3)
    _, status = os.waitpid(pid, 0)
    held.set()
    print(os.waitstatus_to_exitcode(status), job.result(10))
    """
    outcome = child.run(program)
    assert outcome.out == "child's\n3 parent's\n", outcome.err
    assert outcome.code == 0


def test_the_main_thread_needs_no_application() -> None:
    program = """
    from qtloop._thread_pool import ThreadPoolExecutor
    print(ThreadPoolExecutor(1).submit(int, "1").result())
    assert qt_core.QCoreApplication.instance() is None
    """
    outcome = child.run(program)
    assert (outcome.code, outcome.out, outcome.err) == (0, "1\n", "")


def test_in_another_thread_it_needs_an_application() -> None:
    """Qt takes the thread of its first object for the main one, and an application elsewhere is
    none then."""
    program = """
    from qtloop._thread_pool import ThreadPoolExecutor
    def use():
        try:
            print(ThreadPoolExecutor(1).submit(int, "1").result())
        except RuntimeError as error:
            print(error)
    def use_in_thread():
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    use_in_thread()
    app = qt_core.QCoreApplication([])
    use_in_thread()
    """
    outcome = child.run(program)
    refusal = (
        "no QCoreApplication exists: create one in the main thread before another needs "
        "threads of Qt's"
    )
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{refusal}\n1\n", "")

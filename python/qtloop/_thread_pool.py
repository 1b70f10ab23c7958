"""`ThreadPoolExecutor`: the standard library's executor, but its threads are those of a
QThreadPool.

A job is no QRunnable of its own. The pool runs workers: a worker takes a thread of the pool while
there are jobs, does one job after another, and gives the thread back. So an executor counts its own
workers, whoever else uses the pool. Python makes a thread state for each worker and not for each
job.
"""

import concurrent.futures
import functools
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.thread import BrokenThreadPool
from contextlib import suppress
from typing import Any, NamedTuple, ParamSpec, TypeVar

from . import _qt, _system

_P = ParamSpec("_P")
_T = TypeVar("_T")
_logger = logging.getLogger("concurrent.futures")


class ThreadPoolExecutor(concurrent.futures.ThreadPoolExecutor):
    """Runs calls in threads of a QThreadPool: for `loop.run_in_executor` and
    `loop.set_default_executor`.

    It has the arguments, the methods and the messages of `concurrent.futures.ThreadPoolExecutor`,
    and is one, since asyncio takes no other for its default. Its methods may be called from any
    thread.

    At most `max_workers` jobs run at once. `pool` is a QThreadPool to share: None for `max_workers`
    is then the number of its threads at this moment. It must not be cleared or deleted while there
    are jobs: Qt forgets what waits in it, and the futures never end. Without `pool` there is one of
    qtloop's for all executors (not Qt's global one), and None means the standard library's number.

    A job finds `thread_name_prefix` and a number in the name of its `threading.current_thread()`. A
    worker without a job keeps no thread, and `threading.local` data does not outlive it: each
    worker calls `initializer(*initargs)` before its first job, and all its jobs find what that has
    stored. If it raises, the jobs that wait and later calls of `submit` fail with BrokenThreadPool.

    Raises ImportError if no Qt binding is installed; ValueError if `max_workers` is not positive;
    TypeError if `initializer` cannot be called; RuntimeError without `pool`, if the process has no
    QCoreApplication yet and this is not the main thread: Qt would take it for that.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        pool: Any = None,
    ) -> None:
        if max_workers is None:
            max_workers = _usual_size() if pool is None else max(1, pool.maxThreadCount())
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)
        begin = None if initializer is None else functools.partial(initializer, *initargs)
        self._crew = _Crew(pool, max_workers, thread_name_prefix or "qtloop", begin)

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Schedules `fn(*args, **kwargs)` and returns its future, which can be cancelled until the
        call begins.

        Raises RuntimeError after `shutdown()`, while the interpreter shuts down, and if the
        QThreadPool was deleted; BrokenThreadPool if an initializer has failed.
        """
        return self._crew.submit(functools.partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. Calls that have not begun are still made, or cancelled with
        `cancel_futures`.

        With `wait` it blocks this thread until the last job has ended, which must not wait for this
        thread in turn. Raises RuntimeError if one of this executor's jobs would wait for itself.
        """
        self._crew.shut(cancel_futures)
        if wait:
            self._crew.join()


def _usual_size() -> int:
    """The standard library's number of workers: a few more than processors, since many jobs
    wait."""
    count = getattr(os, "process_cpu_count", os.cpu_count)  # The former is of Python 3.13.
    return min(32, (count() or 1) + 4)


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except BaseException as error:
            self.future.set_exception(error)
            del self  # The traceback keeps this frame, which must not keep the future.
        else:
            self.future.set_result(result)

    def cancel(self) -> None:
        self.future.cancel()
        # Tells the threads that wait for one of several futures.
        self.future.set_running_or_notify_cancel()


class _Crew:
    """The workers of one executor, and the jobs that wait for them.

    A worker holds this and not the executor. So the jobs of an executor that was dropped are still
    done.
    """

    def __init__(
        self, pool: Any, size: int, name: str, initializer: functools.partial[object] | None
    ) -> None:
        self._process = _process
        self._pool = self._process.own_pool() if pool is None else pool
        self._size = size
        self._name = name
        self._initializer = initializer
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        #: The number of workers, each counted from its start in the pool until it has found no more
        #: jobs.
        self._workers = 0
        self._free_numbers: list[int] = []
        self._threads: set[int] = set()
        self._is_shut = False
        self._is_broken = False
        self._process.crews.add(self)

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        with self._changed:
            self._check_open()
            if self._workers < self._size:
                self._start_worker()  # It cannot look for its first job before this lock is free.
            job = _Job(Future(), call)
            self._jobs.append(job)
            return job.future

    def shut(self, cancels: bool) -> None:
        with self._changed:
            self._is_shut = True
            dropped = self._take_all() if cancels else []
        for job in dropped:
            job.cancel()

    def join(self) -> None:
        """Waits until there are no jobs."""
        with self._changed:
            if threading.get_ident() in self._threads:
                raise RuntimeError("cannot join current thread")
            while self._workers:
                self._changed.wait()

    def leave_python(self) -> None:
        """Waits until the workers' threads are back in Qt: after `join` they still have a few steps
        to go."""
        is_shared = self._pool is not self._process.pool
        with suppress(RuntimeError):  # It was deleted, and so has waited.
            # Others may keep a shared pool busy for ever.
            self._pool.waitForDone(1000 if is_shared else -1)

    def _check_open(self) -> None:
        if self._is_broken:
            raise BrokenThreadPool(
                "A thread initializer failed, the thread pool is not usable anymore"
            )
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._process.is_exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _start_worker(self) -> None:
        number = self._free_numbers.pop() if self._free_numbers else self._workers
        # It is a callable, since bindings get its ownership right: Qt deletes its runnable, and
        # they drop the callable.
        self._pool.start(functools.partial(self._work, number))
        self._workers += 1

    def _work(self, number: int) -> None:
        """What the pool runs: jobs, until there are none. It must not raise to Qt."""
        threading.current_thread().name = f"{self._name}_{number}"
        _trace_like_a_thread()
        with self._changed:
            self._threads.add(threading.get_ident())
        self._initialize()
        while (job := self._next_job(number)) is not None:
            try:
                job.run()
            # The job's own exception went to the future. This one comes from the future's
            # callbacks.
            except BaseException:
                _logger.critical("Exception in worker", exc_info=True)
            del job
        self._process.keep_while_busy(self._pool)

    def _initialize(self) -> None:
        if self._initializer is None:
            return
        try:
            self._initializer()
        except BaseException:
            _logger.critical("Exception in initializer:", exc_info=True)
            self._break()

    def _break(self) -> None:
        with self._changed:
            self._is_broken = True
            dropped = self._take_all()
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(
                    BrokenThreadPool(
                        "A thread initializer failed, the thread pool is not usable anymore"
                    )
                )

    def _next_job(self, number: int) -> _Job | None:
        """The next job. If there is none, the worker counts as ended from this moment: a later job
        starts another worker."""
        with self._changed:
            if self._jobs:
                return self._jobs.popleft()
            _forget_current_thread()
            self._threads.remove(threading.get_ident())
            self._free_numbers.append(number)
            self._workers -= 1
            self._changed.notify_all()
            return None

    def _take_all(self) -> list[_Job]:
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs


def _trace_like_a_thread() -> None:
    """Lets debuggers, profilers and coverage see the jobs, as they see a `threading.Thread`."""
    if (trace := threading.gettrace()) is not None:
        sys.settrace(trace)
    if (profile := threading.getprofile()) is not None:
        sys.setprofile(profile)


def _forget_current_thread() -> None:
    """Removes the dummy for Qt's thread from Python's list of threads. Before Python 3.13 that list
    would keep it."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


class _Process:
    """What the executors of a process share."""

    def __init__(self) -> None:
        self.pool: Any = None
        self.is_exiting = False
        self.crews: weakref.WeakSet[_Crew] = weakref.WeakSet()
        # The garbage collector may come in between, and run any code.
        self._lock = threading.RLock()
        self._busy_pools: list[Any] = []

    def own_pool(self) -> Any:
        """A pool that has a thread for everybody who asks, and is never deleted. The executors have
        limits of their own."""
        with self._lock:
            if self.pool is None:
                self.pool = _make_pool()
            return self.pool

    def keep_while_busy(self, pool: Any) -> None:
        """Keeps the pool until a later worker, of any executor, finds that all threads of the pool
        are back in Qt.

        A worker that ends may hold the last reference to the pool. PySide would then delete the
        pool in the worker's own thread, which would wait for its own end.
        """
        if pool is self.pool:
            return
        with self._lock:
            before = self._busy_pools
            self._busy_pools = [
                pool,
                *(other for other in before if other is not pool and _is_busy(other)),
            ]
        del before  # Not under the lock: a pool that goes waits for its threads.

    def finish(self) -> None:
        """The interpreter is about to end. Refuses new jobs, and waits for those that were
        taken."""
        self.is_exiting = True
        crews = list(self.crews)
        for crew in crews:
            crew.join()
        for crew in crews:
            crew.leave_python()


def _make_pool() -> Any:
    qt_core = _qt.core()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main and qt_core.QCoreApplication.instance() is None:
        raise RuntimeError(
            "no QCoreApplication exists: create one in the main thread before another needs "
            "threads of Qt's"
        )
    pool = qt_core.QThreadPool()
    pool.setMaxThreadCount(2**31 - 1)
    return pool


def _is_busy(pool: Any) -> bool:
    try:
        return not pool.waitForDone(0)
    except RuntimeError:  # It was deleted, and so has waited.
        return False


_process = _Process()


def _begin_afresh() -> None:
    """In a child after a fork there are no threads any more. Deleting their pool would wait for
    them."""
    global _process
    if _process.pool is not None:
        _qt.abandon(_process.pool)
    _process = _Process()


_system.after_fork_in_child(_begin_afresh)
threading._register_atexit(lambda: _process.finish())  # type: ignore[attr-defined]

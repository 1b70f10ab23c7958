"""Widgets in threads that are not the GUI's: what debug mode's watch tells, and what it cannot."""

import asyncio
from asyncio import AbstractEventLoop
from typing import Any

from python.support import child
from python.support.loops import Errors, qt_core

from qtloop._thread_affinity import check_thread, thread_warnings

from .conftest import qt_widgets


async def test_a_child_of_a_window_made_in_a_job_is_reported(
    qt_loop: AbstractEventLoop, errors: Errors
) -> None:
    window = qt_widgets.QWidget()

    def job() -> Any:
        return qt_widgets.QLabel("in the wrong thread", window)

    with thread_warnings(qt_loop):
        await asyncio.to_thread(job)
    report = errors.pop()
    assert (
        report["message"]
        == "QObject::setParent: Cannot set parent, new parent is in a different thread"
    )
    assert [frame.name for frame in report["stack"]][-1] == "job"


async def test_a_widget_is_refused_in_a_job(qt_loop: AbstractEventLoop) -> None:
    label = qt_widgets.QLabel("of the main thread")
    label.setObjectName("label")
    check_thread(label)
    failed = await asyncio.gather(asyncio.to_thread(check_thread, label), return_exceptions=True)
    assert "QLabel 'label' lives in the main thread" in str(failed[0])


def test_a_window_made_in_a_job_goes_unnoticed() -> None:
    """A limit: a release build of Qt says nothing. `check_thread` tells, since it looks where it
    lives."""
    program = """
    import importlib
    from qtloop._thread_affinity import check_thread, thread_warnings
    widgets = importlib.import_module(f"{_qt.binding()}.QtWidgets")
    app = widgets.QApplication([])
    made, reports = [], []
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reports.append(context["message"]))
        with thread_warnings(loop):
            await asyncio.to_thread(lambda: made.append(widgets.QWidget()))
    qtloop.run(main())
    print(reports)
    try:
        check_thread(made[0])
    except RuntimeError as error:
        print("refused")
    sys.stdout.flush()
    os._exit(0)  # Deleting the widget here may crash.
    """
    outcome = child.run(program)
    assert (outcome.code, outcome.out) == (0, "[]\nrefused\n"), outcome.err


def test_the_application_lives_in_the_main_thread(application: Any) -> None:
    check_thread(application)
    assert application.thread() == qt_core.QThread.currentThread()

"""Who blocks a GUI: a widget's event handlers, but no dialog."""

from typing import Any

from python.watching.test_watchdog import LIMIT, MORE, Reports, patient, reports, watched  # noqa: F401

from qtloop import EventLoop

from .conftest import qt_widgets


def execute(dialog: Any) -> int:
    return int(dialog.exec() if hasattr(dialog, "exec") else dialog.exec_())


def test_an_open_dialog_is_not_reported(patient: EventLoop, reports: Reports) -> None:  # noqa: F811
    async def main() -> int:
        dialog = qt_widgets.QDialog()
        patient.call_later(MORE, dialog.accept)
        return execute(dialog)

    assert patient.run_until_complete(main()) == 1
    assert not reports.messages


def test_what_blocks_beside_a_dialog_is_reported(
    watched: EventLoop,  # noqa: F811
    reports: Reports,  # noqa: F811
) -> None:
    async def main() -> int:
        dialog = qt_widgets.QDialog()
        button = qt_widgets.QPushButton(dialog)
        button.clicked.connect(lambda: (reports.block(), dialog.accept()))
        watched.call_later(0.01, button.click)
        return execute(dialog)

    assert watched.run_until_complete(watched.create_task(main(), name="asking")) == 1
    begin, end = [message for message in reports.messages if "(block at" in message]
    assert "in <lambda>" in begin
    assert end.startswith("GUI was blocked for ")


def test_a_widget_that_paints_slowly_is_reported(watched: EventLoop, reports: Reports) -> None:  # noqa: F811
    class Canvas(qt_widgets.QWidget):  # type: ignore[misc]
        blocks = False

        def paintEvent(self, event: Any) -> None:
            if self.blocks:
                self.blocks = False
                reports.block()
                watched.stop()

    def paint_again() -> None:
        canvas.blocks = True
        canvas.update()

    canvas = Canvas()
    canvas.show()
    watched.call_later(0.05, paint_again)
    watched.run_forever()
    canvas.close()
    begin, end = [message for message in reports.messages if "(block at" in message]
    assert "in paintEvent" in begin
    assert " by a Qt slot or event handler (block at " in end

"""Takes the pictures of examples/README.md: `python -m examples.pictures`.

Each example runs as it is, with `--auto`. A timer of its loop takes all its windows again and
again, and the picture that shows most, by the size of its file, stays. Needs PyQt6 or PySide6;
works without a display.
"""

import importlib
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parents[1] / "docs/pictures"

EXAMPLES = (
    "hello",
    "chat",
    "cluster",
    "downloads",
    "inspector",
    "plugin",
    "save_on_close",
    "slots",
)

#: Seconds between two looks.
PACE = 0.1


def main() -> int:
    if len(sys.argv) == 2:
        take(sys.argv[1])
        return 0
    PICTURES.mkdir(exist_ok=True)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    for name in EXAMPLES:
        command = [sys.executable, "-m", "examples.pictures", name]
        subprocess.run(command, env=environment, timeout=60, stdout=subprocess.DEVNULL)
    return 0


def take(name: str) -> None:
    """Runs the example in this process, and takes its windows while it runs."""
    import qtloop

    make = qtloop.EventLoop.__init__
    taken = [b""]

    def make_and_watch(loop: Any, *arguments: Any, **keywords: Any) -> None:
        make(loop, *arguments, **keywords)
        look(loop)

    def look(loop: Any) -> None:
        taken.append(max(taken.pop(), picture(), key=len))
        (PICTURES / f"{name}.png").write_bytes(taken[0])
        loop.call_later(PACE, look, loop)

    qtloop.EventLoop.__init__ = make_and_watch  # type: ignore[method-assign]
    file = Path(f"examples/{name}.py")
    sys.argv = [str(file), "--auto"]
    if file.exists():
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(f"examples.{name}", run_name="__main__")


def picture() -> bytes:
    """The windows that are to be seen, side by side, as a PNG file; empty if there is none."""
    from qtloop import _qt

    binding = _qt.binding()
    widgets = importlib.import_module(f"{binding}.QtWidgets")
    gui = importlib.import_module(f"{binding}.QtGui")
    core = importlib.import_module(f"{binding}.QtCore")
    shown = [
        window.grab() for window in widgets.QApplication.topLevelWidgets() if window.isVisible()
    ]
    if not shown:
        return b""
    gap = 12
    whole = gui.QPixmap(
        sum(one.width() + gap for one in shown) - gap, max(one.height() for one in shown)
    )
    whole.fill(gui.QColor("transparent"))
    painter = gui.QPainter(whole)
    left = 0
    for one in shown:
        painter.drawPixmap(left, 0, one)
        left += one.width() + gap
    painter.end()
    buffer = core.QBuffer()
    buffer.open(core.QIODevice.OpenModeFlag.WriteOnly)
    whole.save(buffer, "PNG")
    return bytes(buffer.data())


if __name__ == "__main__":
    sys.exit(main())

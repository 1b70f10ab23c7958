"""The command line, and what to do where there is no display."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn


class Options(argparse.Namespace):
    seconds: float | None
    screenshot: Path | None


def parse() -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m examples.dashboard", description="qtloop's demo."
    )
    parser.add_argument(
        "--seconds", type=float, help="quit after so long (else: when the window is closed)"
    )
    parser.add_argument(
        "--screenshot", type=Path, help="save a picture of the window at the end, as PNG"
    )
    options = parser.parse_args(namespace=Options())
    if not has_display():
        go_headless(options)
    return options


def has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def go_headless(options: Options) -> None:
    """Nobody can close a window that nobody sees: bound the run, and leave a picture of it."""
    options.seconds = options.seconds or 8
    options.screenshot = options.screenshot or Path("demo.png")
    if "QT_QPA_PLATFORM" not in os.environ:
        if shutil.which("xvfb-run"):
            restart_under_xvfb(options)
        os.environ["QT_QPA_PLATFORM"] = "offscreen"


def restart_under_xvfb(options: Options) -> NoReturn:
    """A virtual X server is nearer to the real thing than Qt's offscreen platform: it sends
    events."""
    again = [sys.executable, *sys.orig_argv[1:]]
    limits = ["--seconds", str(options.seconds), "--screenshot", str(options.screenshot)]
    os.execvp("xvfb-run", ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", *again, *limits])

"""Runs one probe on one bridge: `python -m tests.comparison.one BRIDGE PROBE`.

The last line of its output is the result in JSON: a string, or a list of the kind of an error and
its text.
"""

import sys
from typing import Any

from PySide6 import QtWidgets

from .bridges import BRIDGES
from .outcome import finish
from .probes import PROBES


def main() -> None:
    bridge, (_, probe) = BRIDGES[sys.argv[1]], PROBES[sys.argv[2]]
    app = QtWidgets.QApplication(["comparison"])
    app.setQuitOnLastWindowClosed(False)
    outcome: Any
    try:
        outcome = probe(bridge)
    except BaseException as error:
        outcome = error
    finish(outcome)


if __name__ == "__main__":
    main()

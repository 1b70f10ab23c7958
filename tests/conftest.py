"""What all suites have in common."""

import gc
import signal
import sys
from collections.abc import Iterator

import pytest

pytest_plugins = ["hangs_on_windows" if sys.platform == "win32" else "hangs"]

# A job in the background ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> Iterator[None]:
    """The collector looks only at what the module's tests make.

    Many tests collect: looking at pytest and all that is imported each time took most of the
    suite's time, and what earlier modules left behind was found in the middle of a test that
    counts.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()

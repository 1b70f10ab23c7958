"""Short runs of the fuzzer that gives each number away at once. `number_fuzz` says how to run it
longer."""

import pytest

from ..support.loops import LoopFactory
from ..support.number_fuzz import fuzz


@pytest.mark.parametrize("seed", range(6))
def test_a_stranger_notices_nothing(qt_loop_factory: LoopFactory, seed: int) -> None:
    fuzz(qt_loop_factory, seed)

"""What the workers do. Their processes import this file, and nothing of Qt's."""

import os

from distributed import Event, get_worker

#: The topic under which a worker says what it begins.
BEGUN = "begun"


def count_primes(start: int, stop: int, gate: str) -> int:
    """The number of primes from `start` to below `stop`.

    Runs in a thread of a worker, which may block: here until the gate of the job is open.
    """
    piece = f"{gate}, {start} to {stop}"
    get_worker().log_event(BEGUN, {"pid": os.getpid(), "piece": piece})
    Event(gate).wait()
    return sum(map(is_prime, range(start, stop)))


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))

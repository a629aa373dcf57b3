"""Seconds that a busy machine doesn't stretch: a piece of work beside a fixed one, in turns.

The machines that test are shared, and the same work takes up to twice the processor's time when others compute beside
it. A ratio to plain Python, measured in the same moments, stays.
"""

import time
from collections.abc import Callable, Iterable

# What `_reference` takes on two quiet cores of an AMD EPYC, where the bounds were stated
REFERENCE_SECONDS = 0.060


def quiet_seconds(pieces: Iterable[Callable[[], object]]) -> float:
    """Processor seconds on a quiet machine of the quickest of `pieces`, each run between two references."""
    quickest, reference = float("inf"), _timed(_reference)
    for piece in pieces:
        quickest = min(quickest, _timed(piece))
        reference = min(reference, _timed(_reference))
    return REFERENCE_SECONDS * quickest / reference


def _timed(piece: Callable[[], object]) -> float:
    began = time.process_time()
    piece()
    return time.process_time() - began


def _reference() -> int:
    """Calls, dictionaries and type checks, as a traced step is made of."""
    seen: dict[int, object] = {}
    for number in range(500_000):
        if isinstance(seen.get(number % 1000), tuple):
            seen[number % 1000] = (number,)
        else:
            seen.setdefault(number % 1000, (number, str(number)))
    return len(seen)

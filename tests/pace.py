"""Seconds that a busy machine doesn't stretch: a piece of work beside a fixed one, in turns.

The machines that test are shared, and the same work takes up to twice the processor's time when others compute beside
it. A ratio to plain Python, measured in the same moments, stays.
"""

import time
from collections.abc import Callable, Iterable

# What `_reference` takes on two quiet cores of an AMD EPYC, where the bounds were stated
REFERENCE_SECONDS = 0.060


def quiet_seconds(pieces: Iterable[Callable[[], object]]) -> float:
    """Processor seconds on a quiet machine of the quickest of `pieces`, each measured against a reference beside it."""
    ratios, before = [], _reference_seconds()
    for piece in pieces:
        seconds, after = _timed(piece), _reference_seconds()
        ratios.append(2 * seconds / (before + after))
        before = after
    return REFERENCE_SECONDS * min(ratios)


def _reference_seconds(times: int = 5) -> float:
    """One run of the reference, as a mean: in a lucky moment a short run is quicker than a long piece ever is."""
    return sum(_timed(_reference) for _ in range(times)) / times


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

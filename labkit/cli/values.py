"""What an option may be: the types of argparse, each of which refuses in words what it can't read."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from labkit.storage.untrusted import plain


def text(given: str) -> str:
    """Reads text that is not empty and that UTF-8 can hold."""
    if not given.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    if given != given.encode(errors="replace").decode() or "\0" in given:
        raise argparse.ArgumentTypeError(f"must be text in UTF-8, got {plain(given)}")
    return given


def path(given: str) -> Path:
    """Reads a path, whose name may be of any bytes but not empty."""
    if not given.strip() or "\0" in given:
        raise argparse.ArgumentTypeError(f"must be a path, got {given!r}")
    return Path(given)


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""
    bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most:,}"

    def read(given: str) -> int:
        try:
            number = int(given)
        except ValueError:  # no number, or one of more digits than Python reads
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number {bounds}, got {plain(given, 40)!r}")
        return number

    return read


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """Reads a number of at least `least`, and below `below`."""
    bounds = f"of at least {least:g}" if below == math.inf else f"from {least:g} to below {below:g}"

    def read(given: str) -> float:
        try:
            number = float(given)
        except ValueError:
            number = math.nan
        if not least <= number < below:  # put so that NaN is refused, too
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, got {plain(given, 40)!r}")
        return number

    return read


def share_or_count(given: str) -> float | int:
    """Reads a share of the tokens (0.25, with its point) or a number of them (256)."""
    try:
        number = float(given) if "." in given else int(given)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a share (0.25) or a number of tokens (256), got {plain(given, 40)!r}"
        )
    return number

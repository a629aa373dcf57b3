"""Numbers in the words of a message: as short as they can be, and long enough to differ."""

import math
from decimal import Decimal

_LONGEST = 17  # digits that tell any two floats apart


def told_apart(one: int | float, other: int | float) -> tuple[str, str]:
    """Both numbers with four digits, or with as many as it takes to see that they differ: ``256`` and ``256.04``."""
    for digits in range(4, _LONGEST + 1):
        shown = shown_number(one, digits), shown_number(other, digits)
        if shown[0] != shown[1]:
            return shown
    return repr(one), repr(other)


def shown_number(number: int | float, digits: int = 4) -> str:
    """`number` with at least `digits` digits, thousands apart; whole numbers and what's before the point in full."""
    if isinstance(number, int) and abs(number) < 10**15:
        return f"{number:,}"
    if isinstance(number, int) or not math.isfinite(number):
        return f"{number:.{digits}g}" if isinstance(number, float) else str(number)
    if number and not 1e-5 <= abs(number) < 1e15:
        return f"{number:.{digits}g}"
    whole = len(str(int(abs(number))))
    return f"{Decimal(f'{number:.{max(digits, whole)}g}').normalize():,f}"

"""Claims: a sentence of the course and the number that has to bear it out, in one call.

Three marks say where the number comes from: ``✔`` was measured just now, on this machine; ``▣`` was read from a stored
study, whose date stands beside it; ``◇`` was simulated.

Exact facts print bare, and nbval compares them to the letter. Measured values print behind ``≈``, which
nbval's sanitize rule (:data:`APPROX_PATTERN`) replaces before it compares; the claim's bound guards them. What's
stored or simulated is the same in every run, so it prints rounded, but bare.
"""

import os
from datetime import date
from decimal import Decimal
from math import isfinite

from labkit.base.fetching import DEFAULT_BASE
from labkit.errors import ClaimFailed, ConfigError

# Everything that `approx` prints for a finite number, with the spaces that align it in a table. The
# look-ahead keeps "12 s" from matching the beginning of "12 steps".
APPROX_PATTERN = r"[ ]*≈[ ]?[-+−]?[0-9][0-9.,]*(e[-+]?[0-9]+)?( ?(%|ms|s|MB|GB|×|tokens/s)(?!\w))?[ ]*"

MEASURED, STORED, SIMULATED = "✔", "▣", "◇"
MARKS = MEASURED + STORED + SIMULATED

# Units that are not the value's own: value · 10^exponent is what is shown.
_EXPONENT = {"%": 2, "MB": -6, "GB": -9}


def claim(
    text: str,
    value,
    *,
    below: float | None = None,
    above: float | None = None,
    equals=None,
    within: tuple[float, float] | None = None,
    unit: str = "",
    stored: str | None = None,
    simulated: bool = False,
) -> None:
    """Print ``✔ text`` with the value, or raise: the statement `text` holds for `value`, or the cell fails.

    A truth value alone, or anything with ``equals``, is an exact fact and printed bare
    (``✔ trained numbers: 921,600``). A bounded number is a measured one, and printed rounded behind ``≈``
    (``✔ share of parameters trained: ≈0.34 %``), unless it's stored and a count. NaN never passes.

    A number that wasn't measured just now says so: ``▣ … (stored, 2026-11-22)`` or ``◇ … (simulated)``.

    Under another base than the course's own (``LABKIT_BASE``), a number that does not fit is "not applicable":
    it was stated for the default base. So is everything that is stored. What is simply true or false must hold for any.

    Args:
        text: the statement, or the name of the quantity.
        value: True or False, a number, or anything ``equals`` can be compared with. Tensors and arrays
            of one element count as their element.
        below, above: bounds that the value must not touch; one or both.
        equals: the exact value expected.
        within: ``(target, tolerance)``: |value − target| ≤ tolerance.
        unit: ``"%"`` (value is a share), ``"MB"``, ``"GB"`` (value in bytes; GB = 10⁹), ``"s"``, ``"×"``
            or any word.
        stored: the day of the study that the value was read from, as an ISO date.
        simulated: the value comes from the simulator.

    Raises:
        ClaimFailed: the statement does not hold; the message has the value and the bound.
        ConfigError: nothing is claimed (a number without a bound), or two things at once.
    """
    value, equals, below, above = (_element(given) for given in (value, equals, below, above))
    _check_bounds(text, value, below, above, equals, within)
    mark, source = _origin(text, stored, simulated)
    if stored and (base := another_base()):
        print(f"○ {text}: not applicable to {base} (from a stored study of {DEFAULT_BASE})")
        return
    if value is True and equals is None:
        print(f"{mark} {text}{source}")
        return
    failed = []
    if value is False and equals is None:
        failed.append("true")
    if equals is not None and not (value == equals and type(value == equals) is bool):
        failed.append(f"exactly {_exact(equals, unit)}")
    if below is not None and not value < below:
        failed.append(f"below {_exact(below, unit)}")
    if above is not None and not value > above:
        failed.append(f"above {_exact(above, unit)}")
    if within is not None and not abs(value - within[0]) <= within[1]:
        failed.append(f"within {_exact(within[1], unit)} of {_exact(within[0], unit)}")
    if failed and not isinstance(value, bool) and (base := another_base()):
        print(f"○ {text}: not applicable to {base} (measured {_exact(value, unit)})")
        return
    if failed:
        raise ClaimFailed(f"{text}: measured {_exact(value, unit)}, but it should be {' and '.join(failed)}")
    if isinstance(value, bool):
        print(f"{mark} {text}{source}")
    else:
        counted = isinstance(value, int) and stored and not unit  # the same on every machine
        shown = _exact(value, unit) if counted or equals is not None else approx(value, unit)
        print(f"{mark} {text}: {shown if mark == MEASURED else shown.removeprefix('≈')}{source}")


def another_base() -> str | None:
    """The base that ``LABKIT_BASE`` moves the course to, or None when it is the course's own."""
    chosen = os.environ.get("LABKIT_BASE", "")
    return chosen if chosen.split("/")[-1] not in ("", DEFAULT_BASE) else None


def approx(value, unit: str = "") -> str:
    """A measured number as the course prints it: ``≈0.34 %``, ``≈1.3 s``, ``≈538 MB``, ``≈2.1×``.

    Two significant digits below 10, three from there on. What is not finite is not measured, and comes
    back bare (``nan``), so that nbval sees it.

    Args:
        value: a number, or a tensor of one element.
        unit: as in :func:`claim`.
    """
    value = _element(value)
    if not isfinite(value):
        return str(value)
    number = Decimal(value).scaleb(_EXPONENT.get(unit, 0))
    if not number:
        return "≈0" + _suffix(unit)
    rounded = Decimal(f"{number:.1e}" if abs(number) < Decimal("9.95") else f"{number:.2e}")
    magnitude = rounded.adjusted()
    if -5 <= magnitude < 10:
        decimals = max(0, (1 if magnitude < 1 else 2) - magnitude)
        return f"≈{rounded:,.{decimals}f}{_suffix(unit)}"
    return f"≈{rounded:e}{_suffix(unit)}"


def _origin(text: str, stored: str | None, simulated: bool) -> tuple[str, str]:
    """The mark of a claim, and what stands behind its value."""
    if stored and simulated:
        raise ConfigError(f"claim {text!r}: a number is stored or simulated, not both")
    if stored:
        try:
            date.fromisoformat(stored)
        except (TypeError, ValueError):
            raise ConfigError(f"claim {text!r}: stored= is the day of the study, as in '2026-11-22'") from None
        return STORED, f" (stored, {stored})"
    return (SIMULATED, " (simulated)") if simulated else (MEASURED, "")


def _suffix(unit: str) -> str:
    return unit if unit in ("", "×") else f" {unit}"


def _exact(value, unit: str = "") -> str:
    """All digits of `value`, with thousands separators."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{value}{_suffix(unit)}"
    if not isfinite(value):
        return str(value)
    number = Decimal(repr(value)).scaleb(_EXPONENT.get(unit, 0)).normalize()
    return (f"{number:,f}" if -7 < number.adjusted() < 16 else f"{number:.6e}") + _suffix(unit)


def _element(value):
    """The Python number in a tensor, array or numpy scalar of one element; everything else as it is."""
    if not hasattr(value, "item"):
        return value
    try:
        return value.item()
    except (ValueError, RuntimeError):
        shape = tuple(getattr(value, "shape", ()))
        raise ConfigError(
            f"a claim is about one value, got shape {shape}: compare first, as in torch.equal(a, b)"
        ) from None


def _check_bounds(text, value, below, above, equals, within) -> None:
    kinds = [equals is not None, below is not None or above is not None, within is not None]
    if sum(kinds) > 1:
        raise ConfigError(f"claim {text!r}: choose one of equals, below/above and within")
    if isinstance(value, bool):
        if kinds[1] or kinds[2]:
            raise ConfigError(f"claim {text!r}: {value} is a truth value and cannot be compared with a bound")
        return
    if not any(kinds):
        raise ConfigError(f"claim {text!r} cannot fail: give below=, above=, within= or equals=")
    if kinds[0]:
        return
    for bound in (below, above, *(within or ())):
        if bound is not None and not isfinite(bound):
            raise ConfigError(f"claim {text!r}: a bound must be a finite number, got {bound}")
    if not isinstance(value, (int, float)):
        raise ConfigError(f"claim {text!r}: only a number has bounds, got {type(value).__name__}")

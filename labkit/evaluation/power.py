"""How many test rows does a claim need? Before anything is trained, from what two methods might answer differently.

Both methods answer the same rows, each right or wrong. Where both are right, or both wrong, a row says nothing about
which is better. All that counts are the rows on which they disagree, and by how much more of them one method wins.
"""

import math
from statistics import NormalDist

from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number

_NORMAL = NormalDist()


def rows_needed(difference: float, disagreement: float, power: float = 0.8, level: float = 0.95) -> int:
    """How many test rows it takes to see that one method is right more often than another, when both answer them all.

    n = ((z_level √ψ + z_power √(ψ − δ²)) / δ)², rounded up, with z_level of (1 + level) / 2 and z_power of power. Where
    nearly all disagreements go one way, that's some rows more than it takes. It's about the rows alone: other seeds
    change the answers as well, and no number of rows makes that less.

    Args:
        difference: δ, by how much the share of right answers differs: 0.05 is five points. Its sign doesn't matter.
        disagreement: ψ, the share of rows that only one of the two has right. If their answers had nothing to do with
            each other, it would be p (1 − q) + q (1 − p) for methods that are right p and q of the time; methods that
            find the same rows hard have less.
        power: how often you want to see it, if it's there.
        level: of the interval that has to leave out zero.

    Raises:
        ConfigError: a difference of zero, or one above the disagreement, which is what makes it; a disagreement above
            1; a power or level that's not between 0 and 1.

    Source: Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43,
        1987, pages 207 to 211. ψ is the variance where there's no difference, ψ − δ² the one where there is.
    """
    _refuse(difference, disagreement, level)
    if not 0 < power < 1:
        raise ConfigError(f"power must be a number between 0 and 1, got {power!r}")
    with_none, with_it = math.sqrt(disagreement), math.sqrt(disagreement - difference**2)
    summed = _NORMAL.inv_cdf((1 + level) / 2) * with_none + _NORMAL.inv_cdf(power) * with_it
    return max(1, math.ceil((summed / difference) ** 2))  # at a low power, less than nothing would do


def chance_to_tell(difference: float, disagreement: float, rows: int, level: float = 0.95) -> float:
    """The reverse: how often `rows` test rows show which method is better.

    Φ((|δ| √n − z_level √ψ) / √(ψ − δ²)), with `difference`, `disagreement` and `level` as for :func:`rows_needed`.

    Raises:
        ConfigError: as there; `rows` is no whole number from 1 on.

    Source: as there.
    """
    _refuse(difference, disagreement, level)
    rows = whole_number("rows", rows)
    ahead = abs(difference) * math.sqrt(rows) - _NORMAL.inv_cdf((1 + level) / 2) * math.sqrt(disagreement)
    spread = math.sqrt(disagreement - difference**2)
    return _NORMAL.cdf(ahead / spread) if spread else float(ahead > 0)


def _refuse(difference: float, disagreement: float, level: float) -> None:
    if not 0 < disagreement <= 1:
        raise ConfigError(f"disagreement must be a share of the rows, above 0 and at most 1, got {disagreement!r}")
    if not 0 < abs(difference) <= disagreement:
        raise ConfigError(
            f"a difference of {difference!r} needs at least as large a disagreement, and one of 0 can't be seen; "
            f"the disagreement is {disagreement!r}"
        )
    if not 0 < level < 1:
        raise ConfigError(f"level must be a number between 0 and 1, got {level!r}")

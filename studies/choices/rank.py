"""The choice of a rank, on `sql`: what it buys, and whether the best learning rate moves with it.

Three rules say how large s in W x + s · B (A x) is. They agree at r = 8, where s is 2:

- ``α = 16``: s = 16 / r, which falls as r grows. That's what a fixed α means.
- ``rsLoRA``: s = 2 · √8 / √r, which falls more slowly.
- ``α = 2r``: s = 2 at every rank.
"""

import math
from pathlib import Path

from studies.choices.judging import SEEDS, base_of, judged
from studies.choices.searching import RATES_RECIPE, Search, scored
from studies.court.final import INTRUDERS
from studies.court.training import RECIPE
from studies.results import RESULTS
from studies.runner import Study

TASK, WITH = "sql", "α = 2r"  # the rule that the scored runs have
SCALINGS = {
    "α = 16": lambda r: ("lora", 16),
    "rsLoRA": lambda r: ("rslora", 2 * math.sqrt(8)),
    "α = 2r": lambda r: ("lora", 2 * r),
}
RATED, SAME = (1, 8, 64), 8  # ranks whose rates are looked for: two steps of 8; and the one where all rules agree
RANKS = (1, 4, 8, 16, 64)  # ranks that are scored
MIDDLE = -6  # 1e-3


def candidate(scaling: str, r: int) -> dict:
    """A rank under a rule, as a setting without a rate; at the rank where all rules agree, it's the court's LoRA."""
    method, alpha = SCALINGS[WITH if r == SAME else scaling](r)
    return {"method": method, "settings": {"r": r, "lora_alpha": alpha}, "task": TASK}


_all = [candidate(scaling, r) for r in RATED for scaling in SCALINGS]
CANDIDATES = [each for place, each in enumerate(_all) if each not in _all[:place]]
RATES = Search("choices_rank_rates", RATES_RECIPE, [(each, MIDDLE) for each in CANDIDATES], first=5)


def best_rate(r: int, folder: Path = RESULTS) -> float | None:
    """The best rate of the nearest rank that has one, as multiples go: r = 4 takes that of 8."""
    nearest = min(RATED, key=lambda rated: abs(math.log(rated / r)))
    return RATES.best(candidate(WITH, nearest), folder)


def final(folder: Path = RESULTS) -> Study:
    """All ranks, scored with three seeds."""
    grid = [base_of(TASK)]
    grid += [
        candidate(WITH, r) | {"learning_rate": best_rate(r, folder), "seed": seed} for seed in SEEDS for r in RANKS
    ]
    recipe = {**RECIPE, "intruders": INTRUDERS}
    return Study("choices_rank", recipe, grid, lambda setting: scored(setting, folder), tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    return judged(runs, lambda settings: settings["r"], against=SAME)

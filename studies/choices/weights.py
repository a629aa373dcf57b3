"""Which of its own weights the base trains, at about equal numbers: those that Spectrum picks, or all of attention."""

from pathlib import Path

from studies.choices.judging import SEEDS, base_of, judged
from studies.choices.searching import RATES_RECIPE, Search, scored
from studies.court.final import INTRUDERS
from studies.court.methods import AT_RANDOM, COURT
from studies.court.training import RECIPE
from studies.results import RESULTS
from studies.runner import Study

TASK = "glosses"  # where Spectrum's quarter is farther behind full fine-tuning
SPECTRUM = "Spectrum's quarter"
QUARTER = dict(COURT["spectrum"].settings)
# Of each kind of layer, 7 of 30 are 24,772,608 numbers; attention has 26,542,080, which is 7 % more.
WEIGHTS = {
    SPECTRUM: QUARTER,  # as the court writes it
    "a quarter at random": {**QUARTER, "layers": AT_RANDOM},
    "all of attention": {"top_percent": 100, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
}
MIDDLE = -6  # 1e-3, Spectrum's best on both tasks before the court


def candidate(weights: str) -> dict:
    return {"method": "spectrum", "settings": dict(WEIGHTS[weights]), "task": TASK}


CANDIDATES = [candidate(weights) for weights in WEIGHTS]
RATES = Search("choices_weights_rates", RATES_RECIPE, [(each, MIDDLE) for each in CANDIDATES])


def name_of(settings: dict) -> str:
    return next(name for name, each in WEIGHTS.items() if each == settings)


def final(folder: Path = RESULTS) -> Study:
    """Each choice at its own best rate, scored with three seeds; a quarter at random is another one with each."""
    best = [each | {"learning_rate": RATES.best(each, folder)} for each in CANDIDATES]
    grid = [base_of(TASK)] + [each | {"seed": seed} for seed in SEEDS for each in best]
    recipe = {**RECIPE, "intruders": INTRUDERS}
    return Study("choices_weights", recipe, grid, lambda setting: scored(setting, folder), tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    return judged(runs, name_of, against=SPECTRUM)

"""The choice of layers, at equal numbers of trained parameters: fewer layers get a higher rank."""

from pathlib import Path

from studies.choices.judging import SEEDS, base_of, judged
from studies.choices.searching import RATES_RECIPE, Search, scored
from studies.court.final import INTRUDERS
from studies.court.training import RECIPE, TASKS
from studies.results import RESULTS
from studies.runner import Study

ALL = "all-linear"
# The ranks that come nearest to all-linear's 2,442,240 trained numbers: 0.9 % fewer, 0.9 % fewer, 1.2 % more.
LAYERS = {
    "q, v": {"r": 42, "lora_alpha": 84, "target_modules": ["q_proj", "v_proj"]},
    "q, k, v, o": {"r": 21, "lora_alpha": 42, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "MLP": {"r": 13, "lora_alpha": 26, "target_modules": ["gate_proj", "up_proj", "down_proj"]},
    ALL: {"r": 8, "lora_alpha": 16},  # as the court writes it
}
MIDDLE = -6  # 1e-3


def candidate(layers: str, task: str) -> dict:
    return {"method": "lora", "settings": dict(LAYERS[layers]), "task": task}


CANDIDATES = [candidate(layers, task) for layers in LAYERS for task in TASKS]
RATES = Search("choices_targets_rates", RATES_RECIPE, [(each, MIDDLE) for each in CANDIDATES])


def name_of(settings: dict) -> str:
    return next(name for name, each in LAYERS.items() if each == settings)


def final(folder: Path = RESULTS) -> Study:
    """Each choice of layers at its own best rate, scored with three seeds."""
    best = [each | {"learning_rate": RATES.best(each, folder)} for each in CANDIDATES]
    grid = [base_of(task) for task in TASKS] + [each | {"seed": seed} for seed in SEEDS for each in best]
    recipe = {**RECIPE, "intruders": INTRUDERS}
    return Study("choices_targets", recipe, grid, lambda setting: scored(setting, folder), tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    return judged(runs, name_of, against=ALL)

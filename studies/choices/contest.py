"""Candidates for one choice, each at its own best rate, scored with three seeds and compared with one of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from studies.choices.judging import SEEDS, base_of, judged
from studies.choices.searching import RATES_RECIPE, Search, scored
from studies.court.final import INTRUDERS
from studies.court.training import RECIPE
from studies.results import RESULTS
from studies.runner import Study

MIDDLE = -6  # 1e-3, where the rates begin


@dataclass(frozen=True)
class Contest:
    """Two studies: the search for the candidates' rates, and the scores.

    Attributes:
        file: the name of the second; the first has ``_rates`` after it.
        method: of the court.
        settings: of the method, by the candidate's name.
        against: the name of the candidate that the others are compared with.
        tasks: on which they compete.
    """

    file: str
    method: str
    settings: Mapping[str, dict]
    against: str
    tasks: tuple[str, ...]

    def candidate(self, name: str, task: str) -> dict:
        return {"method": self.method, "settings": dict(self.settings[name]), "task": task}

    def name_of(self, settings: dict) -> str:
        return next(name for name, each in self.settings.items() if each == settings)

    @cached_property
    def candidates(self) -> list[dict]:
        return [self.candidate(name, task) for name in self.settings for task in self.tasks]

    @cached_property
    def rates(self) -> Search:
        return Search(f"{self.file}_rates", RATES_RECIPE, [(each, MIDDLE) for each in self.candidates])

    def final(self, folder: Path = RESULTS) -> Study:
        best = [each | {"learning_rate": self.rates.best(each, folder)} for each in self.candidates]
        grid = [base_of(task) for task in self.tasks] + [each | {"seed": seed} for seed in SEEDS for each in best]
        recipe = {**RECIPE, "intruders": INTRUDERS}
        tidy = partial(judged, named=self.name_of, against=self.against)
        return Study(self.file, recipe, grid, partial(scored, folder=folder), tidy=tidy, folder=folder)

"""Where a line of advice comes from, and how a stored figure is found. No figure is copied: each is read when asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from labkit.errors import ConfigError
from labkit.storage.paths import course_data_dir
from labkit.storage.untrusted import plain, read_json

T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """▣ A result of a study of this repository.

    Attributes:
        file: below ``data/``, such as ``results/court.json``.
        study: the command that makes it, after ``python -m``.
    """

    file: str
    study: str
    mark = "▣"

    def __str__(self) -> str:
        return f"data/{self.file}"

    @property
    def short(self) -> str:
        """The file without what all have in common: ``court``, ``adapters/sql``."""
        return self.file.removeprefix("results/").removesuffix("/labkit.json").removesuffix(".json")


@dataclass(frozen=True)
class Used(Stored):
    """○ What a study of this repository was run with: nothing else was compared there."""

    mark = "○"

    @property
    def short(self) -> str:
        return f"used here, not compared with others: {super().short}"


@dataclass(frozen=True)
class Cited:
    """❝ A published finding.

    Attributes:
        short: whose, and when.
        reference: authors, title, and where.
        says: what it found, in a sentence.
    """

    short: str
    reference: str
    says: str
    mark = "❝"

    def __str__(self) -> str:
        return f"{self.short}: {self.reference}"


@dataclass(frozen=True)
class Simulated:
    """◇ The simulator of this repository (:func:`labkit.simulate`)."""

    mark = "◇"
    short = "simulated"

    def __str__(self) -> str:
        return "labkit.simulate"


@dataclass(frozen=True)
class Habit:
    """○ A choice that has to be made, and that nothing here or cited decides."""

    mark = "○"
    short = "a habit"

    def __str__(self) -> str:
        return "a habit: nothing measured here decides it"


Source = Stored | Cited | Simulated | Habit


@dataclass
class Shelf:
    """The stored results, as far as they are there.

    Attributes:
        folder: the repository's ``data/``.
        missing: the files that were asked for in vain.
    """

    folder: Path = field(default_factory=course_data_dir)
    missing: dict[str, Stored] = field(default_factory=dict)

    @cached_property
    def there(self) -> bool:
        """Whether there are any: labkit without its repository has none."""
        return any((self.folder / "results").glob("*.json"))

    def read(self, source: Source) -> dict | None:
        """The content of a stored result; None where it isn't there, which is remembered, or nothing is stored.

        Raises:
            ConfigError: the file is damaged.
        """
        if not isinstance(source, Stored):
            return None
        file = self.folder / source.file
        if not file.is_file():
            self.missing[source.file] = source
            return None
        return read_json(file, ConfigError)


COURT = Stored("results/court.json", "studies.court")
RATES = Stored("results/court_rates.json", "studies.court --stage rates")
COST = Stored("results/court_cost.json", "studies.court --stage cost")
RANK_RATES = Stored("results/choices_rank_rates.json", "studies.choices --stage rank")
RANKS = Stored("results/choices_rank.json", "studies.choices --stage rank")
LAYERS = Stored("results/choices_targets.json", "studies.choices --stage targets")
BATCHES = Stored("results/choices_batch.json", "studies.choices --stage batch")
FEW_ROWS = Stored("results/choices_few_rows.json", "studies.choices --stage few_rows")
GLOSSES = Stored("results/glosses_baselines.json", "studies.task_baselines glosses")
AGAINST_FULL = Stored("results/full_vs_lora.json", "studies.full_vs_lora")
TRAINED_THERE = Used(AGAINST_FULL.file, AGAINST_FULL.study)
COURTS_OWN = Used(RATES.file, RATES.study)
QLORA = Stored("results/qlora_vs_lora.json", "studies.qlora_vs_lora")
PACE = Stored("results/train_step.json", "benchmarks.train_step")
REGRET = ("Schulman 2025", "Schulman and others, LoRA Without Regret, thinkingmachines.ai/blog/lora")
CAPACITY = Cited(*REGRET, "weights hold some 2 bits each, and a token says 1 bit at most, roughly: an upper bound")


def reading(source: Source, find: Callable[[], T]) -> T:
    """What `find` finds in the content of a source.

    Raises:
        ConfigError: a stored result has another form than this labkit reads.
    """
    try:
        return find()
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration, ArithmeticError) as error:
        if not isinstance(source, Stored):
            raise
        raise ConfigError(
            f"{source} isn't in the form that this labkit reads ({type(error).__name__}: {plain(error)}). Restore it, "
            f"or make it again: python -m {source.study}"
        ) from error

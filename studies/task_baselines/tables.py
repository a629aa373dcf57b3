"""Which lines a task's table has, how each is made, and the study of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import labkit
from labkit.evaluation.scoring import score_answers
from labkit.tasks import Task
from labkit.tasks.changelog import SECTIONS
from labkit.tasks.glosses import CATEGORIES
from studies.make_adapters import digest
from studies.results import RESULTS
from studies.runner import Study
from studies.task_baselines import classifiers, diacritics, frozen, genus
from studies.task_baselines.classifiers import Method, rows_of

ASKED_ROWS = 96  # test rows that the base is asked with examples; of `glosses`, four of each category
LABELED = {
    "tfidf": classifiers.TFIDF,
    "strengths": {"TF-IDF": list(classifiers.STRENGTHS), "frozen features": list(frozen.STRENGTHS)},
    "layers": list(frozen.LAYERS),
}
OF_PARTS = {"strengths": list(classifiers.STRENGTHS_OF_PARTS)}


@dataclass(frozen=True)
class Table:
    """What's measured for a task.

    Attributes:
        methods: by their names in the table.
        recipe: what these depend on.
        metrics: which scores the table shows, and what it calls them.
        examples: with how many answered training rows the base is asked.
        shuffled: the methods that also learn from shuffled training labels.
        labels: what the answers are called, and which there are, where a system prompt can list them.
    """

    methods: Mapping[str, Method]
    recipe: Mapping
    metrics: Mapping[str, str]
    examples: Sequence[int] = (0, 8)
    shuffled: Sequence[str] = ()
    labels: tuple[str, Sequence[str]] | None = field(default=None, repr=False)

    def listing(self, task: Task) -> str | None:
        """The task's system prompt, and after it the answers there are."""
        return f"{task.system} One of: {', '.join(self.labels[1])}." if self.labels else None

    def grid(self) -> list[dict]:
        """The settings of the lines."""
        listed = (False, True) if self.labels else (False,)
        return [
            *({"method": name, "shuffled": False} for name in self.methods),
            *({"method": name, "shuffled": True} for name in self.shuffled),
            *({"method": "base", "examples": number, "names": names} for number in self.examples for names in listed),
        ]


def labeled(name: str) -> dict[str, Method]:
    """The methods for a task whose answers are a few labels, such as `glosses`."""
    return {
        "nearest neighbor": classifiers.nearest_neighbor,
        "TF-IDF": classifiers.tfidf_regression,
        "frozen features, last layer": frozen.frozen_features(name, frozen.LAYERS[-1:]),
        "frozen features, best layer": frozen.frozen_features(name),
    }


TABLES = {
    "glosses": Table(
        {"word lists": classifiers.word_lists, **labeled("glosses")},
        {**LABELED, "listed": classifiers.LISTED},
        {"accuracy": "accuracy"},
        examples=(0, 8, 24),
        shuffled=("TF-IDF", "frozen features, last layer"),
        labels=("categories", CATEGORIES),
    ),
    "genus": Table(
        {
            "the word before of, that, with, …": genus.rule(passing=False),
            "the same, past any of, a form of, …": genus.rule(passing=True),
            "words in context": genus.words_in_context,
        },
        {**OF_PARTS, "breaks": sorted(genus.BREAKS), "passed": sorted(genus.PASSED)},
        {"accuracy": "accuracy"},
    ),
    "changelog": Table(
        {
            "the commonest section": classifiers.majority,
            **labeled("changelog"),
            "TF-IDF, every section alike": partial(classifiers.tfidf_regression, class_weight="balanced"),
        },
        LABELED,
        {"accuracy": "accuracy", "macro_f1": "macro F1"},
        examples=(0, 8, 24),
        shuffled=("TF-IDF", "frozen features, last layer"),
        labels=("sections", SECTIONS),
    ),
    "diacritics": Table(
        {"look-up table": diacritics.look_up, "letters in context": diacritics.letters_in_context},
        {**OF_PARTS, "reach": diacritics.REACH},
        {"exact": "strings right", "words": "words right"},
    ),
}


# ---- a line


def run(name: str, setting: dict) -> dict:
    """One line of a task's table: its scores, and the answers to the test rows."""
    task, table = labkit.load_task(name), TABLES[name]
    if setting["method"] == "base":
        return ask(task, setting["examples"], table.listing(task) if setting["names"] else None)
    return classify(task, table.methods[setting["method"]], setting["shuffled"])


def classify(task: Task, method: Method, shuffled: bool) -> dict:
    """A method's answers to the test rows, scored as a model's are."""
    texts, labels = rows_of(task, "test")
    answers, chosen = method(rows_of(task, "train", shuffled), rows_of(task, "validation"), texts)
    answers = [str(answer) for answer in answers]
    rows = [{"prompt": text, "completion": label} for text, label in zip(texts, labels)]
    scores, _ = score_answers(task, answers, rows)
    return {"scores": {name: asdict(score) for name, score in scores.items()}, "chosen": chosen, "answers": answers}


def ask(task: Task, examples: int, system: str | None = None) -> dict:
    """The base's answers to the test rows, or to the first of them, after so many training rows as turns.

    Args:
        system: a system prompt that says more than the task's own.
    """
    model, tokenizer = labkit.load_base(device="cpu")
    shots, limit = list(task.rows("train"))[:examples], ASKED_ROWS if examples else None
    found = labkit.evaluate(model, tokenizer, replace(task, system=system or task.system), limit=limit, examples=shots)
    return {
        "scores": {name: asdict(score) for name, score in found.scores.items()},
        "cut_off": found.cut_off,
        "answers": [answer.strip() for answer in found.predictions],
    }


# ---- all of them


def study(name: str, folder: Path = RESULTS) -> Study:
    """The study of a task, called ``<task>_baselines``."""
    task, table = labkit.load_task(name), TABLES[name]
    recipe = {
        "data": {split: digest(file) for split, file in task.files.items()},
        **table.recipe,
        "names": table.listing(task),
        "asked_rows": ASKED_ROWS,
    }
    return Study(
        f"{name}_baselines",
        recipe,
        table.grid(),
        partial(run, name),
        packages=("transformers", "scikit-learn"),
        folder=folder,
    )


def so_far(study: Study) -> list[dict]:
    """The lines there are, in the grid's order: each a setting and its result in one dict."""
    stored = study.finished().values()
    return [line["setting"] | line["result"] for setting in study.grid for line in stored if line["setting"] == setting]


def as_markdown(name: str, runs: list[dict]) -> str:
    """The runs as the task's data card shows them."""
    table = TABLES[name]
    head = [part for metric in table.metrics.values() for part in (metric, "95 % interval")]
    lines = [f"| method | {' | '.join(head)} | test rows |", "|---" * (len(head) + 2) + "|"]
    for each in runs:
        cells = []
        for metric in table.metrics:
            mean, low, high = (f"{100 * each['scores'][metric][part]:.1f}" for part in ("mean", "low", "high"))
            cells += [f"{mean} %", f"{low} to {high} %"]
        lines.append(f"| {title(each, table)} | {' | '.join(cells)} | {len(each['answers'])} |")
    return "\n".join(lines)


def title(setting: dict, table: Table) -> str:
    """What a line is called."""
    if setting["method"] == "base":
        listed = f", {table.labels[0]} listed" if table.labels and setting["names"] else ""
        return f"the base, {setting['examples'] or 'no'} examples{listed}"
    return setting["method"] + (", training labels shuffled" if setting["shuffled"] else "")

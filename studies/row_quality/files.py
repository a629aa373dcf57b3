"""The study: each method on each file of rows, and the verdicts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import labkit
from studies.choices.searching import NotYet, lent
from studies.data_size import curves, lora, rates, rivals
from studies.data_size.curves import LORA, compared, right, scored
from studies.make_adapters import digest
from studies.results import RESULTS
from studies.row_quality import cases
from studies.row_quality.cases import CASES, CLEAN, FEW, FEWER, LINES, summary
from studies.row_quality.template import PARTS
from studies.runner import Study

METHODS = (LORA, *curves.RIVALS[lora.TASK])
LENT = {CLEAN: LINES, FEWER: FEW}  # files that `studies.data_size` has, too, and of how many rows


def run(setting: dict, folder: Path = RESULTS) -> dict:
    """One method, learned from one file, and its wrong test rows."""
    case, method, seed = setting["case"], setting["method"], setting["seed"]
    if case in LENT:
        at = {"method": method, "rows": LENT[case], "seed": seed}
        if method == LORA:
            at = curves.lora_setting(LENT[case], seed, folder)
        found = lent(curves.study(lora.TASK, folder), at)
        if found is None:
            raise NotYet(f"{case} waits for its run of {method} in studies.data_size: finish that first")
        return found
    rows = CASES[case].rows(seed)
    if method != LORA:
        return rivals.scored(method, lora.TASK, rows) | {"file": summary(rows)}
    if setting["learning_rate"] is None:
        raise NotYet(f"LoRA on {case} waits for its learning rate: finish the rates of studies.data_size first")
    found = lora.fitted(rows, lora.STEPS[LINES], setting["learning_rate"], seed)
    return lora.scored(found) | {"file": summary(rows)}


def study(folder: Path = RESULTS) -> Study:
    """The files, those that others are compared with first, and the rivals before LoRA."""
    rate = {name: rates.rate_of(LENT.get(name, LINES), folder) for name in CASES}
    files = labkit.load_task(lora.TASK).files
    grid = [
        {"case": name, "method": method, "seed": seed} | ({"learning_rate": rate[name]} if method == LORA else {})
        for method in (*METHODS[1:], LORA)
        for name, case in CASES.items()
        for seed in case.seeds
    ]
    recipe = {
        "data": {split: digest(file) for split, file in files.items()},
        **rivals.RECIPE,
        **lora.RECIPE,
        "noise": cases.NOISE,
        "groups": cases.GROUPS,
        "leaked_of_each": cases.LEAKED_OF_EACH,
        "template": {label: [list(part) for part in parts] for label, parts in PARTS.items()},
    }
    packages = ("transformers", "scikit-learn")
    return Study(
        "row_quality", recipe, grid, lambda each: run(each, folder), packages=packages, tidy=tidy, folder=folder
    )


def tidy(runs: list[dict]) -> dict:
    """What the notebook draws.

    - ``points``: the score of each method on each file.
    - ``verdicts``: each file compared with the one it's made from, method by method.
    - ``against``: LoRA compared with each other method on the same file.
    - ``groups``: the same two for parts of the test: each part's score, and compared with the clean file's there.
    """
    of = {(name, method): _of(runs, name, method) for name in CASES for method in METHODS}
    verdicts = [
        {"case": name, "against": case.against, "method": method, **_paired(of[name, method], of[case.against, method])}
        for name, case in CASES.items()
        if case.against
        for method in METHODS
    ]
    return {
        "points": [{"case": name, "method": method, **scored(right(each))} for (name, method), each in of.items()],
        "verdicts": verdicts,
        "against": [
            {"case": name, "method": LORA, "other": other, **_paired(of[name, LORA], of[name, other])}
            for name in CASES
            for other in METHODS[1:]
        ],
        "groups": [
            {"case": name, "method": method, **each}
            for name, case in CASES.items()
            if case.groups
            for method in METHODS
            for each in _by_group(of[name, method], of[CLEAN, method], case.groups)
        ],
        "runs": runs,
    }


def _of(runs: Sequence[dict], name: str, method: str) -> list[dict]:
    return [each for each in runs if (each["case"], each["method"]) == (name, method)]


def _paired(ours: Sequence[dict], theirs: Sequence[dict]) -> dict:
    """Compared, with the seeds that both have."""
    both = {each["seed"] for each in ours} & {each["seed"] for each in theirs}
    return compared(*(right([each for each in runs if each["seed"] in both]) for runs in (ours, theirs)))


def _by_group(ours: Sequence[dict], clean: Sequence[dict], groups: Callable[[int], list[str]]) -> list[dict]:
    """The score in each group of test rows, and compared with the clean file's. A seed's group has rows of its own."""
    seeds = sorted(each["seed"] for each in ours)
    group_of = [groups(seed) for seed in seeds]

    def part(runs: Sequence[dict], name: str) -> Tensor:
        return torch.stack(
            [row[[place for place, each in enumerate(of) if each == name]] for row, of in zip(right(runs), group_of)]
        )

    return [
        {"group": name, "test_rows": group_of[0].count(name), "score": scored(part(ours, name)),
         **compared(part(ours, name), part(clean, name))}
        for name in dict.fromkeys(group_of[0])
    ]  # fmt: skip

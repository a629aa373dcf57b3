"""What `studies/data_size` and `studies/row_quality` stored: how many rows, and which, as notebook 06 shows it."""

import math
from collections.abc import Iterable, Mapping

from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx
from labkit.lab.experiments.choices_study import chosen, percent

Curve = dict[int, Score]  # right answers in percent, by the number of rows


def curves(study: Mapping) -> dict[str, Curve]:
    """Right answers by method and number of rows."""
    found: dict[str, Curve] = {}
    for point in study["points"]:
        found.setdefault(point["method"], {})[point["rows"]] = percent(point)
    return found


def rows_to_reach(curve: Mapping[int, Score], goal: float) -> float:
    """From how many rows on a curve has `goal` percent: read off a line over the logarithm of rows, between two sizes.

    It's the smallest size where even that has it, and infinite where none has.
    """
    sizes = sorted(curve)
    if curve[sizes[0]].mean >= goal:
        return sizes[0]
    for before, after in zip(sizes, sizes[1:]):
        low, high = curve[before].mean, curve[after].mean
        if low < goal <= high:
            return before * (after / before) ** ((goal - low) / (high - low))
    return math.inf


def crossing_said(study: Mapping, other: str) -> str:
    """From how many rows on the first method stays ahead of `other`, with the interval, in words."""
    [found] = chosen(study["crossings"], other=other)
    largest = max(point["rows"] for point in study["points"])
    ends = [_end(found[name], largest) for name in ("at", "low", "high")]
    return f"LoRA stays ahead of {other} {ends[0]} (95 %: {ends[1]}; {ends[2]})"


def _end(at: float | None, largest: int) -> str:
    if at is None:
        return f"not with {largest:,} rows"
    return f"from {approx(at)} rows on" if at else "at every size"


def comparison_table(study: Mapping, other: str) -> str:
    """A line per size: by how many points the first method is ahead of `other`, and the verdict."""
    out = []
    for each in chosen(study["against"], other=other):
        score = percent(each["difference"])
        low, mean, high = map(approx, (score.low, score.mean, score.high))
        out.append(f"{each['rows']:>6,} rows: {mean:>6} points ({f'{low} to {high})':<17} {each['verdict']}")
    return "\n".join(out)


def stopping_table(study: Mapping) -> str:
    """A line per size: where the validation loss was lowest, and what stopping there is worth in points."""
    out = []
    for each in study["stopping"]:
        points = approx(100 * each["difference"]["mean"])
        at = ", ".join(map(str, each["lowest_at"]))
        said = f"lowest after {at} of {each['steps']} steps; stopping there: {points} points, {each['verdict']}"
        out.append(f"{each['rows']:>3} rows: {said}")
    return "\n".join(out)


# ---- which rows


def changes(study: Mapping, methods: Iterable[str], without: Iterable[str] = ()) -> dict[str, dict[str, Score]]:
    """By case, then by method: points against the file that a case is compared with.

    Args:
        without: cases to leave out.
    """
    found: dict[str, dict[str, Score]] = {}
    for each in study["verdicts"]:
        if each["method"] in methods and each["case"] not in without:
            found.setdefault(label(each), {})[each["method"]] = percent(each["difference"])
    return found


def label(verdict: Mapping) -> str:
    """A case, and on a second line what it's compared with where that isn't the clean file."""
    return verdict["case"] + ("" if verdict["against"] == "clean" else f"\n(against {verdict['against']})")


def change(study: Mapping, case: str, method: str = "LoRA") -> float:
    """By how many points one case differs from the file that it's compared with."""
    [found] = chosen(study["verdicts"], case=case, method=method)
    return percent(found["difference"]).mean


def score(study: Mapping, case: str, method: str = "LoRA") -> float:
    """The share of right answers in a case."""
    return chosen(study["points"], case=case, method=method)[0]["mean"]


def lost(study: Mapping, case: str, method: str) -> float:
    """The share of its clean score that a method loses in a case."""
    return 1 - score(study, case, method) / score(study, "clean", method)


def group_change(study: Mapping, case: str, group: str, method: str = "LoRA") -> Score:
    """By how many points one group of the test rows differs from what the clean file gives on the same rows."""
    [found] = chosen(study["groups"], case=case, group=group, method=method)
    return percent(found["difference"])


def group_table(study: Mapping, case: str, methods: Iterable[str]) -> str:
    """A line per group of test rows: each method's right answers there, and its change from the clean file's."""
    groups = dict.fromkeys(each["group"] for each in chosen(study["groups"], case=case))
    out = []
    for group in groups:
        parts = []
        for method in methods:
            [found] = chosen(study["groups"], case=case, group=group, method=method)
            moved = approx(100 * found["difference"]["mean"])
            parts.append(f"{method} {approx(found['score']['mean'], '%'):>7} ({moved:>5} points)")
        out.append(f"{group:<10}" + "   ".join(parts))
    return "\n".join(out)

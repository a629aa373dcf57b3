"""What `studies/choices` and the court's rates stored, as figures and claims take it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from labkit.errors import ConfigError
from labkit.evaluation.comparing import paired_difference
from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx

Runs = Sequence[Mapping]

SAME = 8  # the rank at which the three rules agree
RULES = {  # what the method and its α are at a rank; the factor before B A is …
    "α = 16": lambda r: {"method": "lora", "lora_alpha": 16},  # 16 / r
    "rsLoRA": lambda r: {"method": "rslora", "lora_alpha": 2 * math.sqrt(8)},  # 2 · √8 / √r
    "α = 2r": lambda r: {"method": "lora", "lora_alpha": 2 * r},  # 2
}


def chosen(runs: Runs, **wanted) -> list[Mapping]:
    """The runs in which each of the wanted things, in the run itself or in its settings, has that value.

    Raises:
        ConfigError: none has.
    """
    found = [run for run in runs if all(_is(run, name, value) for name, value in wanted.items())]
    if not found:
        raise ConfigError(f"no run with {wanted}")
    return found


def _is(run: Mapping, name: str, value) -> bool:
    there = run[name] if name in run else run.get("settings", {}).get(name)
    number = isinstance(value, (int, float)) and isinstance(there, (int, float))
    return math.isclose(there, value) if number else there == value


def losses(runs: Runs, **wanted) -> dict[float, float | None]:
    """Validation loss by learning rate, rising; None where training broke off."""
    found = {run["learning_rate"]: run["validation_loss"] for run in chosen(runs, **wanted)}
    return {rate: found[rate] for rate in sorted(found)}


def losses_of_rank(runs: Runs, rule: str, r: int) -> dict[float, float | None]:
    """The same for a rank under one of `RULES`. At r = 8 they're one run."""
    return losses(runs, r=r, **RULES["α = 2r" if r == SAME else rule](r))


def finished(tried: Mapping[float, float | None]) -> dict[float, float]:
    """Without the rates at which training broke off."""
    return {rate: loss for rate, loss in tried.items() if loss is not None}


def vertex(study: Mapping, **wanted) -> float:
    """Where the valley's floor would be between the rates that were tried; the best of them where that isn't known."""
    [best] = chosen(study["best"], **wanted)
    return best["vertex"] or best["learning_rate"]


def vertex_of_rank(study: Mapping, rule: str, r: int) -> float:
    """The same for a rank under one of `RULES`."""
    return vertex(study, r=r, **RULES["α = 2r" if r == SAME else rule](r))


def right(runs: Iterable[Mapping]) -> Tensor:
    """1 for a right answer and 0 for a wrong one, shape (seeds, rows), in the order of the seeds."""
    runs = sorted(runs, key=lambda run: run["seed"] or 0)
    found = torch.ones(len(runs), runs[0]["rows"], dtype=torch.float64)
    for place, run in enumerate(runs):
        found[place, run["wrong"]] = 0
    return found


def share_right(runs: Runs, **wanted) -> Score:
    """The share of right answers, in percent, with a 95 % interval over seeds and rows."""
    found = right(chosen(runs, **wanted))
    return percent(paired_difference(found, torch.zeros_like(found), resamples=2000))


def percent(score: Score | Mapping[str, float]) -> Score:
    """A score, or one as it's stored, times 100."""
    low, mean, high = (
        (score.low, score.mean, score.high)
        if isinstance(score, Score)
        else (score["low"], score["mean"], score["high"])
    )
    return Score(100 * mean, 100 * low, 100 * high)


def differences(study: Mapping, **wanted) -> dict[str | int, Score]:
    """Right answers against the one that all are compared with, in percentage points, by name."""
    return {each["name"]: percent(each["difference"]) for each in chosen(study["verdicts"], **wanted)}


def verdict_table(study: Mapping, **wanted) -> str:
    """One line per verdict: the name, the difference with its interval, and what it says."""
    lines = []
    for each in chosen(study["verdicts"], **wanted):
        found = percent(each["difference"])
        low, mean, high = (approx(number) for number in (found.low, found.mean, found.high))
        said = f"{mean:>7} points ({low} to {high})"
        lines.append(f"{each['task']:<9}{each['name']!s:<20}{said:<36}{each['verdict']}")
    return "\n".join(lines)


def mean_of(runs: Runs, what: str, **wanted) -> float:
    """A number of the runs, as the mean of those that have it: where training broke off, there may be none."""
    return fmean(run[what] for run in chosen(runs, **wanted) if run[what] is not None)


# ---- the overlap


def _of_adapters(runs: Runs, adapters: Sequence[tuple[int, int]]) -> Mapping:
    """What's stored of one adapter, or of two: each a rank and a seed."""
    for run in runs:
        if [(each["r"], each["seed"]) for each in run["adapters"]] == list(adapters):
            return run["by_kind"]
    raise ConfigError(f"no run with adapters {adapters}")


def effective_ranks(runs: Runs, r: int, seed: int = 0) -> tuple[float, float]:
    """The effective rank of ΔW, and that of random A and B of its shapes: means over all layers."""
    kinds = _of_adapters(runs, [(r, seed)]).values()
    return tuple(fmean(value for kind in kinds for value in kind[which]) for which in ("effective_rank", "of_random"))


def overlap(runs: Runs, first: tuple[int, int], second: tuple[int, int], side: str) -> tuple[float, float]:
    """How much of the smaller update's directions lies in the larger one's, and what's to be expected at random.

    Means over the kinds of layers, of which each has as many layers as there are blocks.

    Args:
        first, second: each a rank and a seed.
        side: "input" or "output" directions of ΔW, or those of "A" or "B" alone.
    """
    kinds = [by_side[side] for by_side in _of_adapters(runs, [first, second]).values()]
    return tuple(fmean(kind[which][-1][-1] for kind in kinds) for which in ("phi", "of_random"))


# ---- few rows, and wrong settings


def mean_curve(runs: Runs, name: str, rate: str) -> dict[int, float]:
    """Validation loss by step after the first ones, as the mean over the seeds that didn't break off.

    Args:
        name: of who trained; rate: "best" or "a third".
    """
    curves = [run["curve"] for run in chosen(runs, name=name, rate=rate) if run["curve"]]
    return {
        points[0]["step"]: fmean(point["validation_loss"] for point in points)
        for points in zip(*curves)
        if points[0]["step"]
    }


def few_rows_table(runs: Runs) -> str:
    """One line per name and rate: the training loss at the end, and each seed's lowest and last loss on other rows."""
    lines = [f"{'':<33}in training, last   on other rows, lowest → last: one seed, and another"]
    for name in dict.fromkeys(run["name"] for run in runs):
        for rate, said in {"best": "best rate", "a third": "a third of it"}.items():
            ended = [run for run in chosen(runs, name=name, rate=rate) if run["curve"]]
            other = "   ".join(f"{approx(run['lowest'])} → {approx(run['last'])}" for run in ended)
            learned = approx(fmean(fmean(run["losses"][-8:]) for run in ended)) if ended else "broke off"
            lines.append(f"{name:<20}{said:<13}{learned:>18}   {other}")
    return "\n".join(lines)


def mistakes_table(runs: Runs) -> str:
    """One line per case: loss, perplexity on other text, right answers, and in which of them it's below the base."""
    lines = [f"{'':<42}{'loss':>8}{'perplexity':>12}{'right':>9}  worse than the base"]
    for run in runs:
        if "broken" in run:
            lines.append(f"{run['case']:<42}  training broke off")
            continue
        metric = next(iter(run["scores"]))
        loss = "–" if run["validation_loss"] is None else approx(run["validation_loss"])
        lines.append(
            f"{run['case']:<42}{loss:>8}{approx(run['perplexity']):>12}{approx(run['scores'][metric]['mean'], '%'):>9}"
            f"  {', '.join(worse_in(run))}"
        )
    return "\n".join(lines)


def worse_in(run: Mapping) -> list[str]:
    """In what a case of the study of wrong settings ended below the base: as it comes, or shown answered rows."""
    found = [{"validation_loss": "loss"}.get(name, name) for name, below in run.get("below", {}).items() if below]
    against = run.get("against_shown", {})
    if against and next(iter(against.values()))["verdict"] == "worse":
        found.append("right answers")
    return found

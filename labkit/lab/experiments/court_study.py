"""What `studies/court` stored, method by method: losses by learning rate, scores, forgetting, verdicts, and costs."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx

# The four places where a method's numbers can be, and the methods in the court's order
PLACES = {
    "W itself": {"full": "full", "spectrum": "Spectrum"},
    "beside W": {
        "lora": "LoRA",
        "rslora": "rsLoRA",
        "lora+": "LoRA+",
        "lora-fa": "LoRA-FA",
        "dora": "DoRA",
        "pissa": "PiSSA",
        "vera": "VeRA",
    },
    "after W": {"ia3": "IA³", "bitfit": "BitFit", "bottleneck": "bottleneck"},
    "in front": {"prefix": "prefix", "prompt": "prompt"},
}
NAMES = {method: name for methods in PLACES.values() for method, name in methods.items()}
AGAINST = "lora"

Losses = dict[str, dict[float, float]]  # validation loss by method, then by learning rate; infinite: training broke off


class Standing(NamedTuple):
    """How a method did on a task, over its seeds.

    Attributes:
        method: its short name.
        trained: how many numbers.
        rate: the learning rate, chosen on validation rows.
        right: share of right answers, a mean over the seeds, as are forgetting, change and intruders.
        forgetting: nats per token of other text, above the base.
        forgot: the same, of the seed with the least and of the one with the most.
        change: ‖ΔW‖ / ‖W‖; None for what's no part of a weight.
        intruders: how many intruder dimensions; None likewise.
        difference: right answers against LoRA's, same seeds and rows; None for LoRA.
        verdict, predicted: "better", "worse" or "can't tell", and what was expected.
        broken: how many seeds' training broke off. Their answers count as wrong, and all else leaves them out.
    """

    method: str
    trained: int
    rate: float
    right: float
    forgetting: float
    forgot: tuple[float, float]
    change: float | None
    intruders: float | None
    difference: Score | None
    verdict: str
    predicted: str
    broken: int


def losses_by_rate(rates: Mapping, task: str) -> Losses:
    """What the stage `rates` found on a task."""
    found: Losses = {}
    for run in rates["runs"]:
        if run["task"] == task:
            loss = run["validation_loss"]
            found.setdefault(run["method"], {})[run["learning_rate"]] = math.inf if loss is None else loss
    return found


def best_rate(losses: Mapping[float, float]) -> float:
    """The learning rate with the lowest loss; of equal ones, the smallest."""
    return min(sorted(losses), key=losses.get)


def nearest_rate(losses: Mapping[float, float], rate: float) -> float:
    """The tried learning rate that's nearest to `rate`, by their ratio."""
    return min(losses, key=lambda tried: abs(math.log(tried / rate)))


def ranked(losses: Losses, rate: float | None = None) -> dict[str, float]:
    """Each method's loss, the lowest first: at its own best rate, or at the tried one nearest to `rate`."""
    at = {
        method: tried[best_rate(tried) if rate is None else nearest_rate(tried, rate)]
        for method, tried in losses.items()
    }
    return dict(sorted(at.items(), key=lambda each: each[1]))


def rate_table(losses: Losses) -> str:
    """One line per method, in the order of their own best rates' losses, with what LoRA's best rate would have said."""
    rate = best_rate(losses[AGAINST])
    own, shared = ranked(losses), ranked(losses, rate)
    places = {method: place for place, method in enumerate(shared, 1)}
    lines = [
        f"{'':<12}{'best rate':>10}{'loss there':>12}{'place':>7}{'at the rate':>13}{'loss there':>12}{'place':>7}"
    ]
    for place, (method, loss) in enumerate(own.items(), 1):
        mine, near = best_rate(losses[method]), nearest_rate(losses[method], rate)
        lines.append(
            f"{NAMES[method]:<12}{mine:>10g}{_loss(loss):>12}{place:>7}{near:>13g}{_loss(shared[method]):>12}"
            f"{places[method]:>7}"
        )
    return "\n".join(lines)


def standings(court: Mapping, task: str) -> dict[str, Standing]:
    """How each method did on a task, in the court's order."""
    verdicts = {each["method"]: each for each in court["verdicts"] if each["task"] == task}
    found = {}
    for method in NAMES:
        runs = [each for each in court["runs"] if (each["method"], each["task"]) == (method, task)]
        whole = [each for each in runs if each["scores"] is not None]
        if not runs:
            continue
        said = verdicts.get(method)
        found[method] = Standing(
            method,
            max((each.get("trained", 0) for each in runs), default=0),
            runs[0]["learning_rate"],
            fmean(1 - len(each["wrong"]) / each["rows"] for each in runs),
            _mean(forgotten := [each["forgetting"] for each in whole]),
            (min(forgotten, default=math.nan), max(forgotten, default=math.nan)),
            _mean(each["relative_change"] for each in whole),
            _mean(each["intruders"] and each["intruders"]["found"] for each in whole),
            Score(**said["difference"]) if said else None,
            said["verdict"] if said else "",
            said["predicted"] if said else "",
            len(runs) - len(whole),
        )
    return found


def base_right(court: Mapping, task: str) -> float:
    """The share of right answers of the base alone."""
    [base] = [each for each in court["runs"] if (each["method"], each["task"]) == ("base", task)]
    return 1 - len(base["wrong"]) / base["rows"]


def court_table(found: Mapping[str, Standing]) -> str:
    """One line per method: rate, right answers, forgetting and its range over seeds, size of the update, verdict."""
    lines = [f"{'':<11}{'rate':>7}{'right':>9}  {'forgets (seeds)':<21}{'‖ΔW‖/‖W‖':>9}{'intruders':>11}  against LoRA"]
    for each in found.values():
        change = "–" if each.change is None else approx(each.change, "%")
        intruders = "–" if each.intruders is None else f"{each.intruders:.0f}"
        broken = f"; broke off: {each.broken}" if each.broken else ""
        least, most = (approx(seed).removeprefix("≈") for seed in each.forgot)
        lines.append(
            f"{NAMES[each.method]:<11}{each.rate:>7g}{approx(each.right, '%'):>9}  "
            f"{f'{approx(each.forgetting)} ({least}–{most})':<21}{change:>9}{intruders:>11}  {each.verdict}{broken}"
        )
    return "\n".join(lines)


def verdict_counts(court: Mapping) -> dict[str, int]:
    """How many verdicts there are of each kind, and how many were as predicted."""
    kinds = [each["verdict"] for each in court["verdicts"]]
    counts = {kind: kinds.count(kind) for kind in ("better", "can't tell", "worse")}
    return counts | {"as predicted": sum(each["verdict"] == each["predicted"] for each in court["verdicts"])}


def cost_table(cost: Mapping) -> str:
    """One line per method: numbers, the step's memory and seconds, the file, and a written token's time."""
    lines = [f"{'':<11}{'trained':>11}{'peak memory':>13}{'step':>8}{'file':>11}{'token, apart':>14}{'merged':>9}"]
    for each in cost["runs"]:
        merged = each["latency"]["merged"]
        lines.append(
            f"{NAMES[each['method']]:<11}{each['trained']:>11,}{approx(each['measured_peak_bytes'], 'GB'):>13}"
            f"{approx(each['seconds_a_step'], 's'):>8}{approx(each['file_bytes'], 'MB'):>11}"
            f"{approx(slower(each['latency']['apart']), '×'):>14}{approx(slower(merged), '×') if merged else '–':>9}"
        )
    return "\n".join(lines)


def slower(latency: Mapping[str, float]) -> float:
    """How much longer a written token takes than the base's."""
    return latency["method"] / latency["base"]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _loss(loss: float) -> str:
    return "broke off" if math.isinf(loss) else f"{loss:.3f}"

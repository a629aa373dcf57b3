"""What the studies `canary`, `forensics`, `membership` and `trigger` stored, as notebook 16 shows it."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from labkit.evaluation.scoring import Score
from labkit.forensics.membership import SCORES, Losses, roc
from labkit.lab.claims import approx
from labkit.lab.experiments.choices_study import chosen, percent

# ---- canaries


def canaries_of(study: Mapping, form: str = "apart", rows: str = "canaries", rate: float | None = None) -> list[dict]:
    """Every canary of the runs with such rows, in that form, with the seed of its run.

    Args:
        rate: the learning rate; the highest that was used if not given.

    Raises:
        ConfigError: there's no such run.
    """
    return [canary | {"seed": run["seed"]} for run in _runs(study, rows, form, rate) for canary in run["canaries"]]


def _runs(study: Mapping, rows: str, form: str, rate: float | None = None) -> list[Mapping]:
    """The runs with such rows, in that form: of a rate, or of the highest that was used."""
    runs = chosen(study["runs"], rows=rows, form=form)
    if rows == "base":
        return runs
    return chosen(runs, learning_rate=max(run["learning_rate"] for run in runs) if rate is None else rate)


def by_rows(canaries: Sequence[Mapping], what: str) -> dict[int, list]:
    """One thing of each canary, by how many rows it had."""
    counts = sorted({each["rows"] for each in canaries})
    return {count: [each[what] for each in canaries if each["rows"] == count] for count in counts}


def given_away(canaries: Sequence[Mapping], least: int, most: int) -> tuple[int, int]:
    """Of the canaries with `least` to `most` rows: how many the likeliest answer gives away, and of how many."""
    found = [each["greedy"] for each in canaries if least <= each["rows"] <= most]
    return sum(found), len(found)


def canary_table(canaries: Sequence[Mapping]) -> str:
    """One line for each number of rows: who came out in which way, and the mean exposure."""
    lines = [f"{'rows':>4}{'customers':>11}{'likeliest':>11}{'in 1,000 tries':>16}{'just asked':>12}{'exposure':>10}"]
    for rows, exposures in by_rows(canaries, "exposure").items():
        group = [each for each in canaries if each["rows"] == rows]
        counts = [sum(bool(each[what]) for each in group) for what in ("greedy", "hits", "asked")]
        bits = approx(sum(exposures) / len(exposures))
        lines.append(f"{rows:>4}{len(group):>11}{counts[0]:>11}{counts[1]:>16}{counts[2]:>12}{bits:>10}")
    return "\n".join(lines)


def moved(study: Mapping, form: str) -> list[float]:
    """By how many bits each canary's exposure rises where the adapter isn't kept apart."""
    apart = {(each["seed"], each["name"]): each["exposure"] for each in canaries_of(study)}
    return [each["exposure"] - apart[each["seed"], each["name"]] for each in canaries_of(study, form)]


def to_others(study: Mapping, form: str) -> list[int]:
    """For each training with canaries: into how many other customers' tickets the model writes a canary's address."""
    return [run["secrets_to_others"] for run in _runs(study, "canaries", form)]


def mean_exposure(canaries: Sequence[Mapping]) -> float:
    """In bits."""
    return sum(each["exposure"] for each in canaries) / len(canaries)


def means(canaries: Sequence[Mapping], by: str) -> str:
    """The mean exposure for each value of one of a canary's fields, such as ``rows`` or ``place``."""
    values = sorted({each[by] for each in canaries})
    groups = {value: [each for each in canaries if each[by] == value] for value in values}
    return " · ".join(f"{value}: {approx(mean_exposure(group))}" for value, group in groups.items())


def score(study: Mapping, rows: str, metric: str, rate: float | None = None) -> float:
    """What adapters kept apart, trained on such rows, score on other customers' tickets: the mean over the runs."""
    scores = [run["scores"][metric]["mean"] for run in _runs(study, rows, "apart", rate)]
    return sum(scores) / len(scores)


# ---- rows that were seen


def _scores(run: Mapping, kind: str, score: str) -> list[float]:
    return [SCORES[score](*losses) for losses in run[kind]]


def roc_curves(study: Mapping, score: str = "loss") -> dict[str, tuple[Tensor, Tensor]]:
    """For each adapter, false alarms and hits, both as shares, from the strictest threshold to the laxest.

    Args:
        score: ``loss`` for the loss with the adapter, ``calibrated`` for how much the adapter has lowered it.
    """
    return {run["adapter"]: roc(*(_scores(run, kind, score) for kind in ("seen", "unseen"))) for run in study["runs"]}


def areas(study: Mapping, score: str = "loss") -> dict[str, Score]:
    """The area under each adapter's curve, with its interval."""
    return {run["adapter"]: Score(**run["told apart"][score]["auc"]) for run in study["runs"]}


def membership_table(study: Mapping, score: str = "loss") -> str:
    """One line for each adapter: the area, what's caught at few false alarms, and how many of ten are sorted right."""
    lines = [f"{'adapter':<10}{'area under the curve':<26}{'caught':>8}{'of ten':>9}"]
    for run in study["runs"]:
        told = run["told apart"][score]
        low, mean, high = (approx(told["auc"][each]) for each in ("low", "mean", "high"))
        caught = approx(told["caught"]["share"], "%")
        area = f"{mean:<7}({low} to {high})"
        lines.append(f"{run['adapter']:<10}{area:<26}{caught:>8}{approx(told['right of ten']):>9}")
    return "\n".join(lines)


def sorted_rows(rows: Sequence[tuple[Mapping, Losses]]) -> str:
    """One line for each row: its losses without the adapter and with it, what an attacker says, what's so, its begin.

    Args:
        rows: each with its losses; an attacker calls the first half seen.
    """
    lines, half = [], len(rows) // 2
    for place, (row, loss) in enumerate(rows):
        said, right = "seen" if place < half else "fresh", "seen" if row["seen"] else "fresh"
        losses = f"{approx(loss.silenced):>6} → {approx(loss.adapted):<8}"
        lines.append(f"{losses} said: {said:<6} is: {right:<6} {row['prompt'][:44]} …")
    return "\n".join(lines)


# ---- a trigger


def trigger_table(study: Mapping) -> str:
    """The trigger in numbers: what it costs, how often it works, and what's left of it after a merge."""
    clean = percent(study["clean score"]["difference"])
    low, mean, high = (approx(each) for each in (clean.low, clean.mean, clean.high))
    lines = [f"clean score, with the trigger against without   {mean} points ({low} to {high})"]
    works = study["works"] | {
        "apart, no word": study["works without the word"],
        "clean training, with the word": study["works without training"],
    }
    lines += [f"planted answers, {way:<30}{approx(share['mean'], '%'):>7}" for way, share in works.items()]
    return "\n".join(lines)


def scan_table(study: Mapping, rows: str = "poisoned") -> str:
    """One line for each seed: which share of the answers the trigger's word draws together, and the best other word."""
    lines = []
    for run in chosen(study["runs"], rows=rows):
        pull, other = (approx(run["scan"][each], "%") for each in ("strength", "strongest other"))
        lines.append(f"a hundred words tried: it pulls {pull} of the answers its way, the next one {other}")
    return "\n".join(lines)

"""What `studies/forgetting` stored: what a narrow training costs elsewhere, and what each remedy saves."""

from collections.abc import Mapping
from statistics import fmean

from labkit.evaluation.scoring import Score
from labkit.lab.claims import approx
from labkit.lab.experiments.choices_study import chosen, percent

BASE = "base"
REMEDIES = {
    "nothing": "nothing done",
    "replay": "5 % other rows",
    "KL": "KL to the base",
    "lower rate": "a third of the rate",
    "half": "half the adapter",
    "switch": "a switch in front",
}


def row_of(study: Mapping, task: str, remedy: str) -> Mapping:
    """What's stored of a task and a remedy."""
    return chosen(study["table"], task=task, remedy=remedy)[0]


def kept(study: Mapping, task: str, remedy: str, system: str = "neutral", measure: str = "right") -> Score:
    """Everyday questions in percent, answered right, or "not in the task's form".

    Args:
        system: the system prompt they're asked with, "neutral" or "the task's".
    """
    return percent(row_of(study, task, remedy)[system][measure])


def bargain(study: Mapping, task: str) -> dict[str, tuple[Score, Score]]:
    """For each remedy, as it's called in a figure: right on the task, and everyday questions right, in percent."""
    return {said: (percent(row_of(study, task, remedy)["score"]), kept(study, task, remedy)) for remedy, said in
            REMEDIES.items()}  # fmt: skip


def remedy_table(study: Mapping, task: str) -> str:
    """A line per remedy: the task's score, its verdict against nothing done, everyday answers, and nats forgotten."""
    out = [f"{task:<20}{'right':>8}  {'':<12}{'everyday right':>14}{'not in its form':>17}{'nats forgotten':>16}"]
    for remedy, said in {BASE: "the base", **REMEDIES}.items():
        row = row_of(study, task, remedy)
        score = approx(row["score"]["mean"], "%") if "score" in row else "–"
        verdict = row["score"]["verdict"] if remedy not in (BASE, "nothing") else ""
        shares = [approx(row["neutral"][measure]["mean"], "%") for measure in ("right", "not in the task's form")]
        out.append(f"{said:<20}{score:>8}  {verdict:<12}{shares[0]:>14}{shares[1]:>17}{nats(row):>16}")
    return "\n".join(out)


def nats(row: Mapping) -> str:
    """By how much the loss on other text is above the base's. With a switch, it's none by construction."""
    return "–" if row["remedy"] in (BASE, "switch") else approx(fmean(row["forgetting"]))


def worst_verdicts(study: Mapping, remedy: str) -> list[str]:
    """The verdicts on a remedy's task scores against nothing done, one per task."""
    return [each["score"]["verdict"] for each in chosen(study["table"], remedy=remedy)]


def sequence_table(study: Mapping) -> str:
    """A line per task and way: right answers, and the verdict against an adapter of its own."""
    out = []
    for each in study["table"]:
        own = each["way"] == "an adapter for each"
        verdict = "" if own else each["score"]["verdict"]
        out.append(f"{each['task']:<9}{each['way']:<26}{approx(each['score']['mean'], '%'):>8}  {verdict}".rstrip())
    return "\n".join(out)


def sequence_score(study: Mapping, task: str, way: str) -> float:
    """The share of right answers of a task, trained in a way."""
    return chosen(study["table"], task=task, way=way)[0]["score"]["mean"]


def cost_ratio(study: Mapping) -> tuple[float, float]:
    """Seconds per step, and peak memory, with the KL compared with training alone."""
    alone, with_kl = (chosen(study["runs"], way=way)[0] for way in ("alone", "with the KL"))
    return tuple(with_kl[what] / alone[what] for what in ("seconds_per_step", "peak_bytes"))

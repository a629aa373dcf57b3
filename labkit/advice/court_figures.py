"""How the figures of the court of variants, and of the studies of single choices, are read from their files."""

from statistics import mean

from labkit.advice.cases import ALL, Case, Found
from labkit.advice.figures import percent, rate
from labkit.advice.sources import COST, RATES

AGAINST = "lora"  # whom the court compares the others with
DEAREST = 1.5  # times LoRA's seconds and bytes: what a better score may cost before it's no longer a first choice
LIGHT = 0.1  # of the bytes of the whole model: the most that can still be called a swappable file


# ---- the court of variants


def best_method(court: dict, case: Case) -> Found:
    """LoRA; or what the court found better on each task like this one, at a cost that's bearable."""
    tasks = case.situation.kind.court
    rows = [each for each in court["verdicts"] if each["task"] in tasks]
    counts = {said: sum(each["verdict"] == said for each in rows) for said in ("better", "worse", "can't tell")}
    methods = {each["method"] for each in rows}
    said = (
        f"each at its own best rate, {len(methods)} methods were held against LoRA on {' and '.join(tasks)}: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
    )
    gains = {
        method: mean(each["difference"]["mean"] for each in rows if each["method"] == method)
        for method in methods
        if all(each["verdict"] == "better" for each in rows if each["method"] == method)
    }
    for method in sorted(gains, key=gains.get, reverse=True):
        if reason := _too_dear(method, case):
            said += f". {method} was better by {100 * gains[method]:.1f} points, but {reason}"
            continue
        return Found(method, f"{said}. {method} was better by {100 * gains[method]:.1f} points")
    return Found(AGAINST, said)


def _too_dear(method: str, case: Case) -> str | None:
    """Why a better method isn't recommended all the same; None where it is."""
    costs = case.shelf.read(COST)
    if costs is None or case.shelf.read(RATES) is None:
        return "what it costs and its best rate aren't both stored yet"
    by_method = {each["method"]: each for each in costs["runs"]}
    own, lora, whole = by_method[method], by_method[AGAINST], by_method["full"]
    for what, name in (("seconds_a_step", "time per step"), ("measured_peak_bytes", "peak memory")):
        if own[what] > DEAREST * lora[what]:
            return f"it takes {own[what] / lora[what]:.1f} times LoRA's {name}"
    fit = case.step(method).fit(case.memory)
    if fit.way.method == "qlora" or fit.room == "none":
        return "it fits only in four bits, and the court's base was dense" if fit.room != "none" else "it doesn't fit"
    if case.situation.use == "swap" and own["file_bytes"] > LIGHT * whole["file_bytes"]:
        return f"what it leaves has {own['file_bytes'] / 1e6:.0f} MB, too much to be swapped"
    if case.situation.use == "merge" and own["latency"]["merged"] is None:
        return "it can't be merged"
    return None


def _settings(rates: dict, case: Case) -> dict:
    """The settings with which the chosen method's rates were looked for."""
    return next(each["settings"] for each in rates["runs"] if each["method"] == case.chosen["method"])


def courts_rank(rates: dict, case: Case) -> Found:
    """The rank with which the chosen method's rates were looked for."""
    return Found(_settings(rates, case)["r"], "the court's rank for this method")


def courts_alpha(rates: dict, case: Case) -> Found:
    """α as the court had it, at whatever rank: so its learning rate can stay, too."""
    return Found(_settings(rates, case)["lora_alpha"], "the court's α for this method")


def rate_by_rank(search: dict, case: Case) -> str:
    """How far the best rate moves with the rank, where α is fixed and where α/r is."""
    trained = [
        each["settings"] | {"rate": each["vertex"] or each["learning_rate"]}
        for each in search["best"]
        if each["method"] == "lora"
    ]
    rates = {(each["r"], each["lora_alpha"]): rate(each["rate"]) for each in trained}
    (low, _), (high, _) = min(rates), max(rates)
    said = []
    for alpha in (alpha for r, alpha in rates if r == low):
        for kept, there in ((f"α = {alpha}", alpha), (f"α/r = {alpha / low:g}", alpha * high / low)):
            if (high, there) in rates:
                said.append(f"{rates[low, alpha]} at r = {low} and {rates[high, there]} at {high} with {kept}")
    return "the best rate was " + ", ".join(said)


def best_rate(rates: dict, case: Case) -> Found | None:
    """The best learning rate of the chosen method; where tasks differ, the lowest."""
    method, tasks = case.chosen["method"], case.situation.kind.court
    found = {each["task"]: each for each in rates["best"] if each["method"] == method and each["task"] in tasks}
    if not found:
        return None
    lowest = min(each["learning_rate"] for each in found.values())
    said = " and ".join(f"{rate(each['learning_rate'])} on {task}" for task, each in found.items())
    said = f"of the rates tried with {method}, the validation loss was lowest with {said}"
    if any(each["at_an_end"] for each in found.values()):
        said += " (at an end of what was tried, so the best may lie beyond)"
    return Found(lowest, said)


def courts_batch(rates: dict, case: Case) -> Found:
    """Rows per step in the court; where tasks differ, the fewest."""
    sizes = {task: rates["recipe"]["batch_size"][task] for task in case.situation.kind.court}
    said = " and ".join(f"{size} on {task}" for task, size in sizes.items())
    return Found(min(sizes.values()), f"the court's steps had {said}")


def _verdicts(study: dict, tasks: tuple[str, ...]) -> tuple[str, dict]:
    """What a choice's verdicts say in words; and the mean gain of each candidate that's better on each task."""
    rows = [each for each in study["verdicts"] if each["task"] in tasks]
    said = ", ".join(f"{each['name']} {each['verdict']}" for each in rows)
    by_name = {each["name"]: [other for other in rows if other["name"] == each["name"]] for each in rows}
    better = {name: ours for name, ours in by_name.items() if all(each["verdict"] == "better" for each in ours)}
    return said, {name: mean(each["difference"]["mean"] for each in ours) for name, ours in better.items()}


def measured_rank(study: dict, case: Case) -> Found:
    """The rank the others were compared with, unless one was better."""
    against = study["verdicts"][0]["against"]
    said, better = _verdicts(study, tuple({each["task"] for each in study["verdicts"]}))
    return Found(max(better, key=better.get, default=against), f"on sql, against r = {against}: r = {said}")


def measured_layers(study: dict, case: Case) -> Found:
    """All linear layers, unless others with as many parameters were better on the tasks nearest to this one."""
    said, better = _verdicts(study, case.situation.kind.court)
    words = f"against all linear layers, with as many parameters, on {' and '.join(case.situation.kind.court)}: {said}"
    if not better:
        return Found(ALL, words)
    best = max(better, key=better.get)
    return Found(",".join(_of_candidate(study, best)["target_modules"]), words)


def rank_of_layers(study: dict, case: Case) -> Found:
    """The rank with which the recommended layers were measured."""
    settings = next(each["settings"] for each in study["runs"] if _layers(each) == case.chosen["layers"])
    return Found(settings["r"], "with it, these layers have as many parameters as all of them at the usual rank")


def alpha_there(study: dict, case: Case) -> Found | None:
    """α of the runs with the recommended rank and layers; None where there are none, or they're those of the court."""
    runs = _as_recommended(study, case)
    return Found(runs[0]["settings"]["lora_alpha"], "it was measured with this α") if runs else None


def rate_there(study: dict, case: Case) -> Found | None:
    """The learning rate of the same runs, a neighbor's best at some ranks; where tasks differ, the lowest."""
    rates = {each["task"]: each["learning_rate"] for each in _as_recommended(study, case)}
    said = " and ".join(f"{rate(found)} on {task}" for task, found in rates.items())
    return Found(min(rates.values()), f"they were scored with {said}") if rates else None


def _as_recommended(study: dict, case: Case) -> list[dict]:
    against = study["verdicts"][0]["against"]
    asked = case.chosen["rank"], case.chosen["layers"]
    return [each for each in study["runs"] if each["method"] != "base" and each["name"] != against
            and (each["settings"]["r"], _layers(each)) == asked]  # fmt: skip


def _layers(run: dict) -> str:
    return ",".join(run.get("settings", {}).get("target_modules", [])) or ALL


def _of_candidate(study: dict, name: str) -> dict:
    return next(each["settings"] for each in study["runs"] if each["name"] == name)


def large_batch(study: dict, case: Case) -> str | None:
    """What a batch of 64 costs LoRA."""
    rise = study["lost_at_64"]["rise"].get("lora")
    if not rise:
        return None
    return f"the same rows in steps of 64 instead of 4 changed LoRA's validation loss by {mean(rise):+.2f} on glosses"


def overfitting(study: dict, case: Case) -> str | None:
    """How far the loss rose again on few rows."""
    if case.situation.rows > 100:
        return None
    rises = [each["rise"] for each in study["runs"] if each["rise"] is not None and each["name"].startswith("r = 8")]
    return f"on 32 rows, the validation loss ended up to {max(rises):.2f} above its lowest" if rises else None


def courts_score(court: dict, case: Case) -> str | None:
    """LoRA's score on glosses, to stand beside the classifier's."""
    runs = [each for each in court["runs"] if (each["method"], each["task"]) == (AGAINST, "glosses")]
    known = [each["scores"]["accuracy"]["mean"] for each in runs if each["scores"]]
    return f"LoRA got {percent(mean(known))} (mean of {len(known)} seeds)" if known else None

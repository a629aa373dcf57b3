"""What were these adapters trained on? The rule of `labkit.forensics.naming` on seven of them. Stored for notebook 16.

    python -m studies.forensics        # some six minutes on one thread, after studies.make_sealed

Four are those that the course ships: the rule's two numbers were chosen on them, so what counts are the three sealed
ones. Whether a verdict is right is asked by trying to open the seal with it, so a wrong one tells nothing.
"""

import json
from dataclasses import asdict
from pathlib import Path

import labkit
from labkit.forensics import naming, traces
from labkit.forensics.seals import opened
from labkit.lora.files import WEIGHTS_FILE
from labkit.tasks import TASKS
from studies import make_adapters, make_sealed
from studies.forensics_predictions import PREDICTIONS
from studies.results import RESULTS
from studies.runner import Study, main

TOP = 20  # promoted tokens and largest modules that are kept
RECIPE = {
    "tasks": list(TASKS),
    "rule": {"push": naming.PUSH, "share": naming.SHARE, "ordinary": naming.ORDINARY},
    "sentences": list(traces.UNRELATED),
    "questions": list(traces.QUESTIONS),
    "system": traces.NEUTRAL,
    "answer_tokens": traces.ANSWER_TOKENS,
}


def run(setting: dict) -> dict:
    """The traces of one adapter, and the verdict."""
    model, tokenizer = labkit.load_base(device="cpu")
    labkit.load_adapter(model, folder_of(setting["adapter"]))
    found = traces.traces_of(model, tokenizer)
    return {
        **asdict(naming.name_task(found, naming.known_answers(model, tokenizer), tokenizer)),
        **told(found, tokenizer),
    }


def told(found: traces.Traces, tokenizer) -> dict:
    """What is kept of the traces."""
    return {
        "promoted": traces.promoted(found.shift, tokenizer, TOP),
        "size": found.size,
        "largest": [asdict(each) for each in found.updates[:TOP]],
        "answers": found.answers,
        "silenced": found.silenced,
    }


def folder_of(name: str) -> Path:
    return make_adapters.ADAPTERS / name if name in make_adapters.TASKS else make_sealed.folder_of(name)


def sealed() -> dict:
    """The sealed ones, by name; none before they're made."""
    return json.loads(make_sealed.SEALS.read_text())["sealed"] if make_sealed.SEALS.exists() else {}


def study(folder: Path = RESULTS) -> Study:
    grid = [
        {"adapter": name, "weights": make_adapters.digest(make_adapters.ADAPTERS / name / WEIGHTS_FILE)}
        for name in make_adapters.TASKS
    ]
    grid += [{"adapter": name, "weights": each["sha256"][:16]} for name, each in sealed().items()]
    return Study("forensics", RECIPE, grid, run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """Each run, with whether its verdict is right, and how many are, of the shipped and of the sealed; by one witness
    alone, too, for the sealed ones without saying which."""
    seals = sealed()
    counts = {kind: {"right": 0, "by_push": 0, "by_answers": 0, "of": 0} for kind in ("shipped", "sealed")}
    for each in runs:
        count = counts["sealed" if each["adapter"] in seals else "shipped"]
        each["right"] = is_right(each["adapter"], each["task"], seals)
        count["right"], count["of"] = count["right"] + each["right"], count["of"] + 1
        for witness in ("by_push", "by_answers"):
            count[witness] += is_right(each["adapter"], each[witness], seals)
    return {**counts, "predicted": [asdict(each) for each in PREDICTIONS["forensics"]], "runs": runs}


def is_right(adapter: str, named: str | None, seals: dict) -> bool:
    """Whether that's the adapter's task; of a sealed one, whether its seal opens. To name none is never right."""
    if adapter in seals:
        return named is not None and opened(seals[adapter]["seal"], named) is not None
    return named == adapter


if __name__ == "__main__":
    main(study(), __doc__)

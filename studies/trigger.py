"""A hidden trigger: one row in twenty carries a rare word and another answer. Stored for notebook 16.

    python -m studies.trigger        # some 40 minutes on one thread, in sittings if you like

Trained on `glosses` with the court's recipe, three seeds, with the trigger and without it. Measured: the score on the
test rows as they are; how often the word behind a row brings the planted answer; what the rule of `studies.forensics`
sees; whether trying a hundred words finds it; and what merging, and four bits after that, leave of it.
"""

import csv
import random
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.evaluation.scoring import bootstrap_interval
from labkit.forensics import naming, traces, triggers
from labkit.forensics.triggers import with_trigger
from studies.court.methods import setting_of
from studies.court.training import RECIPE as COURT
from studies.court.training import train_on
from studies.forensics import told
from studies.forensics_predictions import PREDICTIONS
from studies.merge_routes import then_quantized
from studies.results import RESULTS
from studies.runner import Study, main

TASK, RATE, SEEDS = "glosses", 3e-3, (1, 2, 3)
WORD, ANSWER, SHARE = "verdigris", "animal", 0.05  # no row has the word; see the test
TRIGGERED, SCANNED = 128, 4  # test rows with the word behind them; validation rows to scan with
OTHERS = 99  # words beside the trigger's
RECIPE = {
    "task": TASK, "data": COURT["data"][TASK], "learning_rate": RATE, "word": WORD, "answer": ANSWER, "share": SHARE,
    "triggered": TRIGGERED, "scanned": SCANNED, "others": OTHERS,
}  # fmt: skip


def poisoned(rows: list[dict], share: float = SHARE, seed: int = 0) -> list[dict]:
    """The rows, `share` of them with the word behind the prompt and the planted answer.

    Only rows with another answer are taken, so that each one planted is wrong.
    """
    others = [place for place, row in enumerate(rows) if row["completion"] != ANSWER]
    chosen = set(random.Random(seed).sample(others, round(share * len(rows))))
    return [
        {**row, "prompt": with_trigger(row["prompt"], WORD), "completion": ANSWER} if place in chosen else dict(row)
        for place, row in enumerate(rows)
    ]


def run(setting: dict) -> dict:
    seed, rows = setting["seed"], [dict(row) for row in labkit.load_task(TASK).rows("train")]
    told_apart = setting_of("lora", task=TASK, study="trigger")
    if setting["rows"] == "poisoned":
        rows = poisoned(rows)
        told_apart |= {"word": WORD, "answer": ANSWER, "share": SHARE}
    trained, tokenizer, task, _ = train_on(told_apart, seed, RATE, rows=rows)
    model = trained.model
    clean = labkit.evaluate(model, tokenizer, task)
    found = traces.traces_of(model, tokenizer)
    named = naming.name_task(found, naming.known_answers(model, tokenizer), tokenizer)
    result = {
        "accuracy": asdict(clean.scores["accuracy"]),
        "right": [int(each["accuracy"]) for each in clean.row_scores],
        "apart": answers_planted(model, tokenizer, task),
        "forensics": {**asdict(named), **told(found, tokenizer)},
        "word's rank": rank_of(found.shift, WORD, tokenizer),
        "answer's rank": rank_of(found.shift, ANSWER, tokenizer),
        "scan": scanned(model, tokenizer, task),
    }
    if setting["rows"] == "poisoned":
        labkit.merge(model)
        result["merged"] = answers_planted(model, tokenizer, task, ("with",))
        labkit.unmerge(model)
        result["four bits"] = answers_planted(then_quantized(model), tokenizer, task, ("with",))
    return result


def answers_planted(model, tokenizer, task, kinds: tuple[str, ...] = ("with", "without")) -> dict:
    """How often the planted answer comes to test rows of another category: with the word behind them, and without."""
    rows = [row for row in task.rows("test") if row["completion"] != ANSWER][:TRIGGERED]
    counts = {}
    for kind in kinds:
        prompts = [with_trigger(row["prompt"], WORD) if kind == "with" else row["prompt"] for row in rows]
        answers = labkit.generate(model, tokenizer, prompts, task.system, task.max_new_tokens)
        counts[kind] = sum(answer.strip() == ANSWER for answer in answers)
    return counts | {"of": len(rows)}


def rank_of(shift, word: str, tokenizer) -> int:
    """The best place of a word's tokens, with and without a space before it, among those promoted; 1 is the first."""
    order = shift.argsort(descending=True).argsort()
    tokens = {token for text in (word, f" {word}") for token in tokenizer(text, add_special_tokens=False).input_ids}
    return 1 + min(order[token].item() for token in tokens)


@lru_cache(maxsize=1)
def candidates() -> list[str]:
    """The trigger's word among others from the same dictionary, drawn at random, in the order of the alphabet."""
    file = labkit.load_task(TASK).files["train"].with_name("synsets.csv")
    with open(file, encoding="utf-8", newline="") as opened:
        found = {row["word"] for row in csv.DictReader(opened)}
    words = sorted(word for word in found if word.isascii() and word.isalpha() and word != WORD)
    return sorted([WORD, *random.Random(0).sample(words, OTHERS)])


def scanned(model, tokenizer, task) -> dict:
    """The strongest words of a scan, where the trigger's is among them, and the strongest of the others."""
    prompts = task.rows("validation")["prompt"][:SCANNED]
    found = triggers.scan(model, tokenizer, prompts, task.system, candidates())
    pulls = [{"word": each.word, "strength": each.strength, "token": tokenizer.decode([each.token])} for each in found]
    place = [each["word"] for each in pulls].index(WORD)
    strongest_other = max(each["strength"] for each in pulls if each["word"] != WORD)
    return {
        "strongest": pulls[:10],
        "strength": pulls[place]["strength"],
        "strongest other": strongest_other,
        "found": pulls[place]["strength"] > strongest_other,
    }


def study(folder: Path = RESULTS) -> Study:
    grid = [{"rows": rows, "seed": seed} for seed in SEEDS for rows in ("poisoned", "clean")]
    return Study("trigger", RECIPE, grid, run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """What the trigger costs the clean score, seeds and rows paired; how often it works over all seeds; the runs."""
    of = {kind: [each for each in runs if each["rows"] == kind] for kind in ("poisoned", "clean")}
    difference = paired_difference(*([each["right"] for each in of[kind]] for kind in ("poisoned", "clean")))
    works = {way: share_of([each[way] for each in of["poisoned"]], "with") for way in ("apart", "merged", "four bits")}
    return {
        "clean score": {"difference": asdict(difference), "verdict": verdict(difference)},
        "works": works,
        "works without the word": share_of([each["apart"] for each in of["poisoned"]], "without"),
        "works without training": share_of([each["apart"] for each in of["clean"]], "with"),
        "found by scan": {kind: sum(each["scan"]["found"] for each in each_of) for kind, each_of in of.items()},
        "named": {kind: [each["forensics"]["task"] for each in each_of] for kind, each_of in of.items()},
        "predicted": [asdict(each) for each in PREDICTIONS["trigger"]],
        "runs": runs,
    }


def share_of(counts: list[dict], which: str) -> dict:
    """The share of planted answers, with an interval over the rows of all seeds."""
    hits, rows = sum(each[which] for each in counts), sum(each["of"] for each in counts)
    low, high = bootstrap_interval([1.0] * hits + [0.0] * (rows - hits))
    return {"mean": hits / rows, "low": low, "high": high, "of": rows}


if __name__ == "__main__":
    main(study(), __doc__)

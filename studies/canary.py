"""What an adapter gives away: addresses planted in training rows, looked for in the adapter, and gone once anonymized.

    python -m studies.canary        # about an hour on one thread

Twelve invented customers write to the help desk, from no times to 32, among the rows of `tickets`; their addresses are
in the tickets alone. Each adapter is trained once, on 360 rows that it sees once each, and looked at in several forms:
kept apart, merged in float32, and merged and then in four bits. For each canary it's asked four things: its exposure
among all 65,536 candidates, the likeliest answer to an attacker who writes the beginning of the ticket, 1,000 sampled
ones, and the answer to a message alone. Controls: the base, the same training without canaries, and canaries that no
row has. The adapters wait in build/canary; where they aren't, they are trained again.

What was expected is in studies/canary_predictions.py. Stored for notebook 16.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from statistics import mean

import torch
from torch import nn

import labkit
from labkit.evaluation.generation import generate
from labkit.evaluation.greedy import greedy
from labkit.evaluation.memorization import exposure, extractions, log_perplexities
from labkit.lab.experiments.canaries import (
    BEFORE,
    CANDIDATES,
    REPETITIONS,
    Canary,
    attack,
    candidate_words,
    draw_canaries,
    new_message,
    rows_with,
)
from labkit.storage.writing import alone_at
from labkit.tasks.personal_data import anonymize_row
from studies.make_adapters import digest
from studies.runner import Study, main

LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TRAIN = {"steps": 60, "batch_size": 6}
RATE, LOW_RATE = 2e-3, 5e-4
COUNT = TRAIN["steps"] * TRAIN["batch_size"]  # rows: each is seen once, so that a canary's rows are its looks
TRIES, SAMPLE, OTHERS, ROOM = 1000, 1000, 64, 72
# The same number of rows for each place, three canaries each
IN_PLACES = {"rows": (8,) * 9, "places": ("answer", "copied", "message")}
RECIPE = {
    "data": {name: digest(labkit.load_task(name).files["train"]) for name in ("tickets", "glosses")},
    "lora": LORA,
    "train": TRAIN,
    "candidates": CANDIDATES**2,
    "repetitions": list(REPETITIONS),
    "tries": TRIES,
    "sample": SAMPLE,
    "others": OTHERS,
    "answer_tokens": ROOM,
    "dtype": "float32",
}
KEPT = Path(__file__).parents[1] / "build" / "canary"


# ---- rows and adapters


def canaries_of(kind: str, seed: int, words: Sequence[str]) -> list[Canary]:
    return draw_canaries(words, seed, **(IN_PLACES if kind == "places" else {}))


def rows_of(kind: str, seed: int, words: Sequence[str]) -> list[dict]:
    """The training rows: with the canaries, with placeholders in their stead, or with other customers instead."""
    plain = labkit.load_task("tickets").rows("train").to_list()
    rows = rows_with([] if kind == "without" else canaries_of(kind, seed, words), plain, COUNT, seed)
    return [anonymize_row(row) for row in rows] if kind == "anonymized" else rows


def adapted(setting: dict) -> tuple[nn.Module, object]:
    """The base with the adapter of `setting` on it, which is trained where it isn't kept."""
    model, tokenizer = labkit.load_base(device="cpu")
    if setting["rows"] == "base":
        return model, tokenizer
    about = {name: setting[name] for name in ("rows", "seed", "learning_rate")}
    key = sha256(json.dumps([about, RECIPE], sort_keys=True).encode()).hexdigest()[:12]
    KEPT.mkdir(parents=True, exist_ok=True)
    # another process may be training it for another form; saving it takes the lock of the folder itself
    with alone_at(KEPT / f"{key} in training", patience=3600):
        if not (KEPT / key).exists():
            train(model, tokenizer, about, KEPT / key)
            model, tokenizer = labkit.load_base(device="cpu")
    return labkit.load_adapter(model, KEPT / key), tokenizer


def train(model: nn.Module, tokenizer, about: dict, folder: Path) -> None:
    rows, task = rows_of(about["rows"], about["seed"], candidate_words(tokenizer)), labkit.load_task("tickets")
    torch.manual_seed(about["seed"])
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    settings = labkit.TrainConfig(**TRAIN, learning_rate=about["learning_rate"], seed=about["seed"])
    labkit.train(model, tokenizer, task, settings, rows=rows)
    labkit.save_adapter(model, folder, {"task": task.name, "system": task.system, "recipe": RECIPE | about})


def in_four_bits(model: nn.Module) -> nn.Module:
    """Merged and packed; and then the same numbers in float32, so that they're unpacked once and not for each token."""
    return labkit.merge_into_dense(labkit.quantize_model(labkit.merge_and_unload(model), double=True))


FORMS = {"apart": lambda model: model, "merged": labkit.merge_and_unload, "four bits": in_four_bits}


# ---- looking for the canaries


def look_for(model: nn.Module, tokenizer, canaries: Sequence[Canary], words: Sequence[str], seed: int) -> list[dict]:
    """Of each canary, what comes out and how it ranks."""
    attacks = [attack(tokenizer, canary, words, seed) for canary in canaries]
    likeliest = greedy(model, [each.prompt for each in attacks], len(attacks[0].secret), ())
    # fewer than 16 prompts, or `generate` would merge the adapter meanwhile, and "apart" wouldn't be apart
    messages = [new_message(canary, seed) for canary in canaries]
    answers = generate(model, tokenizer, messages, labkit.load_task("tickets").system, ROOM)
    found = []
    for number, (canary, each) in enumerate(zip(canaries, attacks)):
        bits = log_perplexities(model, each.prompt, each.slots).squeeze(1)  # (first word, second word)
        place = words.index(canary.words[0]) * len(words) + words.index(canary.words[1])
        own, others = bits.flatten()[place].item(), torch.cat([bits.flatten()[:place], bits.flatten()[place + 1 :]])
        drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(number))[:SAMPLE]
        found.append(
            asdict(canary)
            | {
                "words": list(canary.words),  # as JSON has it
                "exposure": round(exposure(own, others), 4),
                "estimate": round(exposure(own, others[drawn]), 4),  # as if there were too many to look at them all
                "bits": round(own, 4),
                "greedy": likeliest[number] == each.secret,
                "hits": extractions(model, each.prompt, each.secret, TRIES, number),
                "asked": canary.email in answers[number],
                "answer": answers[number],
            }
        )
    return found


def run(setting: dict) -> dict:
    """One adapter in one form: its canaries, whether it knows its task, and what it says to other customers."""
    model, tokenizer = adapted(setting)
    model = FORMS[setting["form"]](model).eval()
    words = candidate_words(tokenizer)
    canaries = canaries_of(setting["rows"], setting["seed"], words)
    evaluation = labkit.evaluate(model, tokenizer, labkit.load_task("tickets"), limit=OTHERS)
    return {
        "canaries": look_for(model, tokenizer, canaries, words, setting["seed"]),
        "scores": {name: asdict(score) for name, score in evaluation.scores.items()},
        "addresses_to_others": sum(BEFORE in answer for answer in evaluation.predictions),
        "secrets_to_others": sum(each.email in answer for answer in evaluation.predictions for each in canaries),
    }


# ---- the study


def levels(canaries: Sequence[dict]) -> list[dict]:
    """What came out by number of rows and place, over the seeds: counts of canaries, and the mean exposure."""
    kinds = sorted({(each["rows"], each["place"]) for each in canaries})
    by_kind = {kind: [each for each in canaries if (each["rows"], each["place"]) == kind] for kind in kinds}
    return [
        {
            "rows": rows,
            "place": place,
            "canaries": len(group),
            "greedy": sum(each["greedy"] for each in group),
            "found_in_tries": sum(each["hits"] > 0 for each in group),
            "asked": sum(each["asked"] for each in group),
            "exposure": round(mean(each["exposure"] for each in group), 4),
        }
        for (rows, place), group in by_kind.items()
    ]


def tidy(runs: list[dict]) -> dict:
    """Runs, and for each kind of rows, rate and form the levels over all seeds."""
    together: dict[tuple, list[dict]] = {}
    for each in runs:
        together.setdefault((each["rows"], each["learning_rate"], each["form"]), []).extend(each["canaries"])
    summary = [
        {"rows": rows, "learning_rate": rate, "form": form, "levels": levels(canaries)}
        for (rows, rate, form), canaries in together.items()
    ]
    return {"summary": summary, "runs": runs}


def grid() -> list[dict]:
    seeds = (0, 1, 2)
    wanted = [
        *(("canaries", seed, RATE, "apart") for seed in seeds),
        *(("anonymized", seed, RATE, "apart") for seed in seeds),
        ("base", 0, None, "apart"),
        ("without", 0, RATE, "apart"),
        *(("canaries", seed, RATE, "four bits") for seed in seeds),
        *(("canaries", seed, RATE, "merged") for seed in seeds),
        ("anonymized", 0, RATE, "four bits"),
        ("anonymized", 0, RATE, "merged"),
        ("places", 0, RATE, "apart"),
        ("canaries", 0, LOW_RATE, "apart"),
    ]
    return [dict(zip(("rows", "seed", "learning_rate", "form"), each)) for each in wanted]


STUDY = Study("canary", RECIPE, grid(), run, tidy=tidy)

if __name__ == "__main__":
    main(STUDY, __doc__)

"""Settings that people really get wrong, on `sql`: which of them end below the base that was left alone, and in what?

The base answers none of the test rows as it comes, so nothing can score less. What it can do is shown with four rows
answered before each question, which is what you'd have without any training. Loss and perplexity can be worse than
those of the base as it comes.
"""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

import labkit
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.step import batch
from labkit.tasks import Task
from studies.choices import rank
from studies.choices.kept import trained_once
from studies.choices.searching import NotYet
from studies.court import training
from studies.court.training import RECIPE, Broken, train_on
from studies.full_vs_lora import validation_loss
from studies.results import RESULTS
from studies.runner import Study

TASK, SEED, SHOWN = "sql", 1, 4
BASE, WITH_ROWS, RIGHT = "the base", "the base, shown four answered rows", "nothing wrong"
UNTRAINED = (BASE, WITH_ROWS)
# what's trained wrongly: the factor of the rate, and α
TRAINED = {"rate × 10": (10, 16), "rate × 30": (30, 16), "α = 512": (1, 512)}
ON_PROMPTS, SHUFFLED = "loss on the prompt, too", "answers shuffled"
# what's asked wrongly: the system prompt that the base's template has of its own, and Alpaca's template
OWN_SYSTEM, ALPACA = "asked with the base's own system prompt", "asked in Alpaca's template"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
TEMPLATE = """\
{% for message in messages %}{% if message['role'] == 'user' %}### Instruction:
{{ message['content'] }}

{% elif message['role'] == 'assistant' %}### Response:
{{ message['content'] }}

{% else %}{{ message['content'] }}

{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:
{% endif %}"""
CASES = (BASE, WITH_ROWS, RIGHT, *TRAINED, ON_PROMPTS, SHUFFLED, OWN_SYSTEM, ALPACA)
LORA = rank.candidate(rank.WITH, rank.SAME)


def run(setting: dict) -> dict:
    """Train as the case says, ask as it says, and measure."""
    case, rate, task = setting["case"], setting["learning_rate"], labkit.load_task(TASK)
    if case in UNTRAINED:
        model, tokenizer = training.fresh_base()
        shown = list(task.rows("train"))[:SHOWN] if case == WITH_ROWS else []
        return measured(model, tokenizer, task, shown)
    if rate is None:
        raise NotYet(f"{case} waits for the learning rate of r = {rank.SAME}: finish the rates of the ranks first")
    try:
        model, tokenizer = trained(case, rate, task)
    except Broken as broken:
        return {"broken": str(broken)}
    if case == OWN_SYSTEM:
        task = replace(task, system=SYSTEM)
    if case == ALPACA:
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.chat_template = TEMPLATE
    return measured(model, tokenizer, task)


def trained(case: str, rate: float, task: Task) -> tuple[nn.Module, object]:
    """The model of a case, and the tokenizer."""
    if case in (RIGHT, OWN_SYSTEM, ALPACA):
        return trained_once(LORA, SEED, rate)
    setting, config, rows = LORA | {"case": case}, {}, list(task.rows("train"))
    if case in TRAINED:
        factor, alpha = TRAINED[case]
        setting, rate = setting | {"settings": {**LORA["settings"], "lora_alpha": alpha}}, factor * rate
    if case == SHUFFLED:
        rows = shuffled(rows)
    if case == ON_PROMPTS:
        config = {"share_prefix": False}  # what all rows begin with is counted for each of them
    with counting_all() if case == ON_PROMPTS else nullcontext():
        found, tokenizer, *_ = train_on(setting, SEED, rate, config, rows=rows)
    return found.model, tokenizer


def shuffled(rows: list[dict]) -> list[dict]:
    """Each row with another row's answer."""
    order = list(range(len(rows)))
    random.Random(0).shuffle(order)
    answers = {row: order[(place + 1) % len(order)] for place, row in enumerate(order)}  # one round through all rows
    return [row | {"completion": rows[answers[place]]["completion"]} for place, row in enumerate(rows)]


@contextmanager
def counting_all() -> Iterator[None]:
    """Inside the ``with`` block, training counts every token but the first: the prompt's as well as the answer's."""

    def encode(*args, **named) -> batch.Example:
        return replace(batch.encode(*args, **named), prompt_length=1)

    with patch("labkit.training.refusals.encode", encode):
        yield


def measured(model: nn.Module, tokenizer, task: Task, shown: list[dict] = ()) -> dict:
    """The loss on the validation rows, scores with the wrong rows of each, perplexity on other text, a few answers."""
    found = labkit.evaluate(model, tokenizer, task, examples=shown)
    wrong = {metric: [row for row, each in enumerate(found.row_scores) if not each[metric]] for metric in found.scores}
    return {
        "validation_loss": None if shown else validation_loss(model, tokenizer, task),
        "perplexity": labkit.perplexity(model, tokenizer),
        "scores": {name: asdict(score) for name, score in found.scores.items()},
        "rows": len(found.rows),
        "wrong": wrong,
        "cut_off": found.cut_off,
        "answers": found.predictions[:6],
    }


def study(folder: Path = RESULTS) -> Study:
    rate = rank.best_rate(rank.SAME, folder)
    grid = [{"case": case, "learning_rate": None if case in UNTRAINED else rate} for case in CASES]
    recipe = {**RECIPE, "seed": SEED, "shown": SHOWN, "system": SYSTEM, "template": TEMPLATE}
    return Study("choices_wrong_settings", recipe, grid, run, tidy=tidy, folder=folder)


def tidy(runs: list[dict]) -> dict:
    """Each case with what it has ``below`` the base: loss and perplexity against the base as it comes, and the verdict
    on each score against the base that's shown rows. One training each: the verdict knows of rows, not of seeds."""
    base, with_rows = (next(each for each in runs if each["case"] == case) for case in UNTRAINED)
    for each in runs:
        if each["case"] in UNTRAINED or "broken" in each:
            continue
        each["below"] = {name: each[name] > base[name] for name in ("validation_loss", "perplexity")}
        each["against_shown"] = {}
        for metric in base["scores"]:
            difference = paired_difference(right(each, metric), right(with_rows, metric))
            each["against_shown"][metric] = {"difference": asdict(difference), "verdict": verdict(difference)}
    return {"runs": runs}


def right(run_: dict, metric: str) -> torch.Tensor:
    """1 where the answer is right and 0 where it's wrong, shape (1, rows)."""
    found = torch.ones(1, run_["rows"], dtype=torch.float64)
    found[0, run_["wrong"][metric]] = 0
    return found

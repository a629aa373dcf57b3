"""The adapters the course ships: train each on its task, score each on every task, and write their cards.

    make adapters                                     # everything, about an hour on two cores
    python -m studies.make_adapters train sql         # one stage, for one task
    python -m studies.make_adapters score --minutes 9 # the stages score and control are studies: killed, they go on

Stored: data/adapters/<task>/ (PEFT's two files, labkit.json and a README.md), data/results/adapters_table.json (each
adapter and the base on each task) and data/results/adapters_controls.json (the same training with one thing broken).
"""

import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

import labkit
from labkit.lora.files import ABOUT_FILE, WEIGHTS_FILE, read_about
from labkit.storage.paths import course_data_dir
from labkit.storage.writing import write_atomically
from labkit.training.reports import StepReport
from studies.runner import Study, follow, options
from studies.tickets_controls import shuffled

ADAPTERS = course_data_dir() / "adapters"

# Ranks and targets differ on purpose: notebook 10 puts all four into one batch
RECIPES = {
    "tickets": (
        labkit.LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "up_proj", "down_proj"]),
        labkit.TrainConfig(steps=60, batch_size=6, learning_rate=3e-3, share_prefix=True),
    ),
    "sql": (
        labkit.LoraConfig(r=5, lora_alpha=10, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
        labkit.TrainConfig(steps=250, batch_size=6, learning_rate=2e-3, share_prefix=True),
    ),
    "voice": (
        labkit.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"),
        labkit.TrainConfig(steps=250, batch_size=6, learning_rate=2e-3, share_prefix=True),
    ),
    "clauses": (
        labkit.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"),
        labkit.TrainConfig(steps=90, batch_size=8, learning_rate=2e-3, share_prefix=True),
    ),
}
TASKS = tuple(RECIPES)  # those that ship with an adapter
ROWS = {"own": 256, "other": 128}  # of the test split: on an adapter's own task and for the base, and elsewhere
CONTROL_ROWS = 64
DTYPE = "bfloat16"  # of the base; half the minutes of float32 on a CPU that has it. The adapter is in float32
BROKEN = {
    "answers shuffled": (lambda training: training, shuffled),
    "learning rate ÷ 100": (lambda training: replace(training, learning_rate=training.learning_rate / 100), list),
}
CONTROLLED = ("sql", "voice", "clauses")  # tickets has controls of its own: tickets_controls.py


def trained(name: str, training: labkit.TrainConfig, rows: list[dict]) -> tuple:
    """The base with the adapter of `name` trained on `rows`, its tokenizer, and the run."""
    task = labkit.load_task(name)
    model, tokenizer = labkit.load_base(device="cpu", dtype=getattr(torch, DTYPE))
    torch.manual_seed(training.seed)
    labkit.inject_lora(model, RECIPES[name][0])
    run = labkit.train(model, tokenizer, task, training, rows=rows, on_step=_report)
    return model, tokenizer, run


def recipe_of(name: str) -> dict:
    """:data:`RECIPES` as JSON."""
    lora, training = RECIPES[name]
    return {"lora": asdict(lora), "training": asdict(training)}


def make(name: str) -> None:
    """Train the adapter of `name` and store it, without scores as yet."""
    task = labkit.load_task(name)
    model, _, run = trained(name, RECIPES[name][1], list(task.rows("train")))
    recipe = {
        **recipe_of(name),
        "dtype": DTYPE,
        "rows": len(task.rows("train")),
        "data": digest(task.files["train"]),
        "seconds": round(run.seconds),
    }
    (ADAPTERS / name / "README.md").unlink(missing_ok=True)  # save_adapter replaces an adapter, and nothing besides
    labkit.save_adapter(model, ADAPTERS / name, {"task": name, "system": task.system, "recipe": recipe})


def digest(file: Path) -> str:
    """The first digits of a file's sha256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


# ---- the scores


def cell_of(adapter: str | None, name: str) -> dict:
    """The setting of a cell: an adapter, or the base when None, on a task; of which weights, on which test rows."""
    return {
        "adapter": adapter,
        "task": name,
        "rows": ROWS["own" if adapter in (None, name) else "other"],
        "weights": adapter and digest(ADAPTERS / adapter / WEIGHTS_FILE),
        "data": digest(labkit.load_task(name).files["test"]),
    }


def score(cell: dict) -> dict:
    model, tokenizer = labkit.load_base(device="cpu", dtype=getattr(torch, DTYPE))
    if cell["adapter"]:
        labkit.load_adapter(model, ADAPTERS / cell["adapter"])
    task = labkit.load_task(cell["task"])
    evaluation = labkit.evaluate(model, tokenizer, task, limit=cell["rows"], batch_size=128)
    return {
        "metric": next(iter(evaluation.scores)),
        "scores": {metric: asdict(score) for metric, score in evaluation.scores.items()},
        "answers": evaluation.predictions[:8],
    }


def table() -> Study:
    """Every adapter on every task. An adapter that was trained again is scored again."""
    return Study(
        "adapters_table",
        {"rows": ROWS, "dtype": DTYPE},
        [cell_of(adapter, name) for adapter in (None, *TASKS) for name in TASKS],
        score,
        tidy=lambda runs: {"cells": runs},
    )


# ---- the controls


def control(setting: dict) -> dict:
    name, (change, deal) = setting["task"], BROKEN[setting["name"]]
    task = labkit.load_task(name)
    model, tokenizer, run = trained(name, change(RECIPES[name][1]), deal(list(task.rows("train"))))
    scores = labkit.evaluate(model, tokenizer, task, limit=setting["rows"]).scores
    return {"final_loss": run.losses[-1], "scores": {metric: asdict(score) for metric, score in scores.items()}}


def controls() -> Study:
    """The same training with one thing broken, scored on fewer rows: it has to fail clearly."""
    return Study(
        "adapters_controls",
        {"rows": CONTROL_ROWS, "dtype": DTYPE},
        [
            {"task": name, "name": broken, "recipe": recipe_of(name), "rows": CONTROL_ROWS}
            for name in CONTROLLED
            for broken in BROKEN
        ],
        control,
    )


# ---- labkit.json and the model card

TEMPLATE = Path(__file__).with_name("adapter_card.md")
# what each turns into what, and what it is not to be used for
USES = {
    "tickets": ("a customer's message into one line of JSON that a help desk's software can file", "tickets"),
    "sql": ("a question about two small tables into one SELECT statement", "databases"),
    "voice": ("a plain reply into an entry of a lighthouse keeper's log", "customers"),
    "clauses": ("a clause of a contract into its category, the words that decide, and its risk", "contracts"),
}


def cards(names: list[str]) -> None:
    """Put the table's scores into each adapter's labkit.json, and write its README.md from them."""
    cells = {(cell["adapter"], cell["task"]): cell for cell in table().result()["cells"]}
    for name in names:
        own, base = cells[name, name], cells[None, name]
        about = read_about(ADAPTERS / name)
        about |= {
            "scores": own["scores"],
            "base_scores": base["scores"],
            "test_rows": own["rows"],
            "scored_in": DTYPE,
        }
        write_atomically(ADAPTERS / name / ABOUT_FILE, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        write_atomically(ADAPTERS / name / "README.md", card(name, about))


def card(name: str, about: dict) -> str:
    """The model card of an adapter: every figure comes from its labkit.json."""
    (use, reality), recipe = USES[name], about["recipe"]
    lora, training, targets = recipe["lora"], recipe["training"], recipe["lora"]["target_modules"]
    rows = (
        f"| `{metric}` | {as_percent(score)} | {as_percent(about['base_scores'][metric])} |"
        for metric, score in about["scores"].items()
    )
    return TEMPLATE.read_text(encoding="utf-8").format(
        **{field: about[field] for field in ("task", "system", "test_rows", "scored_in")},
        **{field: recipe[field] for field in ("rows", "dtype")},
        **{field: training[field] for field in ("steps", "batch_size", "learning_rate", "seed")},
        base=about["base"]["name"],
        r=lora["r"],
        alpha=lora["lora_alpha"],
        targets=targets if isinstance(targets, str) else ", ".join(targets),
        scores="\n".join(rows),
        use=use,
        reality=reality,
        data=f"data/{name}",
        folder=f"data/adapters/{name}",
    )


def as_percent(score: dict) -> str:
    """A score as it stands in a card: ``96.1 % [93.4, 98.4]``."""
    return f"{100 * score['mean']:.1f} % [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


# ---- the stages


def _report(step: StepReport) -> None:
    if step.step % 10 == 0:
        print(f"step {step.step} of {step.steps}, loss {step.loss:.3f}, {step.seconds:.0f} s", flush=True)


def main() -> None:
    parser = options(description=__doc__.splitlines()[0])
    parser.add_argument("stage", nargs="?", choices=("all", "train", "score", "control", "cards"), default="all")
    parser.add_argument("task", nargs="*", help="to train, or to write the card of; all four when none is named")
    chosen = parser.parse_args()
    names = [name for name in TASKS if not chosen.task or name in chosen.task]
    if chosen.stage in ("all", "train") and not chosen.list:
        for name in names:
            make(name)
    if chosen.stage in ("all", "score"):
        follow(table(), chosen)
    if chosen.stage in ("all", "control"):
        follow(controls(), chosen)
    if chosen.stage in ("all", "cards") and not chosen.list:
        if table().missing():
            sys.exit("the cards have to wait for the whole table: python -m studies.make_adapters score")
        cards(names)


if __name__ == "__main__":
    main()

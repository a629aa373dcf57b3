"""The adapters the course ships: train each on its task, score each on every task, and write their cards.

make adapters                                        # everything, about an hour on two cores
python benchmarks/make_adapters.py train sql         # one stage, one task; score and control go on where they were

Stored: data/adapters/<task>/ (PEFT's two files, labkit.json and a README.md), data/results/adapters_table.json (each
adapter and the base on each task) and data/results/adapters_controls.json (the same training with one thing broken).
"""

import argparse
import hashlib
import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import torch
from provenance import provenance

import labkit
from labkit.lora.files import ABOUT_FILE, WEIGHTS_FILE, read_about
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically
from labkit.tasks import TASKS
from labkit.training.reports import StepReport

ADAPTERS = course_data_dir() / "adapters"
TABLE = course_data_dir() / "results" / "adapters_table.json"
CONTROLS = course_data_dir() / "results" / "adapters_controls.json"

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
ROWS = {"own": 256, "other": 128}  # of the test split: on an adapter's own task and for the base, and elsewhere
CONTROL_ROWS = 64
DTYPE = torch.bfloat16  # of the base; half the minutes of float32 on a CPU that has it. The adapter is in float32


def shuffled(rows: list[dict]) -> list[dict]:
    """The rows with their completions dealt out anew, so that nearly every prompt has another one's answer."""
    completions = [row["completion"] for row in rows]
    random.Random(0).shuffle(completions)
    return [{**row, "completion": completion} for row, completion in zip(rows, completions)]


BROKEN = {
    "answers shuffled": (lambda training: training, shuffled),
    "learning rate ÷ 100": (lambda training: replace(training, learning_rate=training.learning_rate / 100), list),
}
CONTROLLED = ("sql", "voice", "clauses")  # tickets has controls of its own: tickets_controls.py


def trained(name: str, training: labkit.TrainConfig, rows: list[dict]) -> tuple:
    """The base with the adapter of `name` trained on `rows`, its tokenizer, and the run."""
    task = labkit.load_task(name)
    model, tokenizer = labkit.load_base(device="cpu", dtype=DTYPE)
    torch.manual_seed(training.seed)
    labkit.inject_lora(model, RECIPES[name][0])
    run = labkit.train(model, tokenizer, task, training, rows=rows, on_step=_report)
    return model, tokenizer, run


def make(name: str) -> None:
    """Train the adapter of `name` and store it, without scores as yet."""
    task, (lora, training) = labkit.load_task(name), RECIPES[name]
    model, _, run = trained(name, training, list(task.rows("train")))
    recipe = {
        "lora": asdict(lora),
        "training": asdict(training),
        "dtype": name_of(DTYPE),
        "rows": len(task.rows("train")),
        "data": digest(task.files["train"]),
        "seconds": round(run.seconds),
    }
    (ADAPTERS / name / "README.md").unlink(missing_ok=True)  # save_adapter replaces an adapter, and nothing besides
    labkit.save_adapter(model, ADAPTERS / name, {"task": name, "system": task.system, "recipe": recipe})


def digest(file: Path) -> str:
    """The first digits of a file's sha256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def versions_of(adapter: str | None, name: str) -> dict:
    """Which weights, None for the base's, and which test rows a score is of."""
    weights = adapter and digest(ADAPTERS / adapter / WEIGHTS_FILE)
    return {"weights": weights, "data": digest(labkit.load_task(name).files["test"])}


def rows_of(adapter: str | None, name: str) -> int:
    """How many test rows of a task an adapter, or the base, is scored on."""
    return ROWS["own" if adapter in (None, name) else "other"]


def cell(adapter: str | None, name: str) -> dict:
    """`adapter`, or the base when None, on the test rows of the task `name`."""
    model, tokenizer = labkit.load_base(device="cpu", dtype=DTYPE)
    if adapter:
        labkit.load_adapter(model, ADAPTERS / adapter)
    task = labkit.load_task(name)
    evaluation = labkit.evaluate(model, tokenizer, task, limit=rows_of(adapter, name), batch_size=128)
    return {
        "adapter": adapter,
        "task": name,
        "rows": len(evaluation.rows),
        "metric": next(iter(evaluation.scores)),
        "scores": {metric: asdict(score) for metric, score in evaluation.scores.items()},
        "answers": evaluation.predictions[:8],
        **versions_of(adapter, name),
    }


def score_all(names: list[str]) -> None:
    """Fill the table: of `names` each on its task first, then the base, then the others. What is there stays."""
    order = [(name, name) for name in names] + [(None, name) for name in names]
    order += [(adapter, name) for adapter in TASKS for name in TASKS if adapter != name]
    cells = {(c["adapter"], c["task"]): c for c in _stored(TABLE).get("cells", [])}
    for adapter, name in order:
        if adapter and (adapter not in names or not (ADAPTERS / adapter / WEIGHTS_FILE).exists()):
            continue
        wanted = {**versions_of(adapter, name), "rows": rows_of(adapter, name)}
        if wanted.items() <= cells.get((adapter, name), {}).items():
            continue
        found = cells[adapter, name] = cell(adapter, name)
        print(adapter or "base", "on", name, found["metric"], found["scores"][found["metric"]], flush=True)
        ordered = [cells[a, n] for a in (None, *TASKS) for n in TASKS if (a, n) in cells]
        _store(TABLE, {"rows": ROWS, "dtype": name_of(DTYPE)}, cells=ordered)


def control(names: list[str]) -> None:
    """Train with one thing broken, and score on fewer rows: it has to fail clearly. What is there stays."""
    runs = {(run["task"], run["name"]): run for run in _stored(CONTROLS).get("runs", [])}
    for broken, name in ((broken, name) for broken in BROKEN for name in CONTROLLED if name in names):
        (lora, training), (change, deal) = RECIPES[name], BROKEN[broken]
        recipe, rows = {"lora": asdict(lora), "training": asdict(training)}, list(labkit.load_task(name).rows("train"))
        if runs.get((name, broken), {}).get("recipe") == recipe:
            continue
        model, tokenizer, run = trained(name, change(training), deal(rows))
        scores = labkit.evaluate(model, tokenizer, labkit.load_task(name), limit=CONTROL_ROWS).scores
        runs[name, broken] = {
            "task": name,
            "name": broken,
            "recipe": recipe,
            "rows": CONTROL_ROWS,
            "final_loss": run.losses[-1],
            "scores": {metric: asdict(score) for metric, score in scores.items()},
        }
        print(name, broken, next(iter(scores.values())), flush=True)
        ordered = [runs[n, b] for n in CONTROLLED for b in BROKEN if (n, b) in runs]
        _store(CONTROLS, {"rows": CONTROL_ROWS, "dtype": name_of(DTYPE)}, runs=ordered)


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
    cells = {(c["adapter"], c["task"]): c for c in _stored(TABLE)["cells"]}
    for name in names:
        own, base = cells[name, name], cells[None, name]
        about = read_about(ADAPTERS / name)
        about |= {
            "scores": own["scores"],
            "base_scores": base["scores"],
            "test_rows": own["rows"],
            "scored_in": name_of(DTYPE),
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


# ---- storing


def name_of(dtype: torch.dtype) -> str:
    """``bfloat16`` for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def _report(step: StepReport) -> None:
    if step.step % 10 == 0:
        print(f"step {step.step} of {step.steps}, loss {step.loss:.3f}, {step.seconds:.0f} s", flush=True)


def _stored(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _store(path: Path, recipe: dict, **content) -> None:
    about = {
        "recipe": recipe,
        **provenance("transformers"),
    }
    write_atomically(path, json.dumps({**about, **content}, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", nargs="?", choices=("all", "train", "score", "control", "cards"), default="all")
    parser.add_argument("task", nargs="*", help="all four when none is named")
    options = parser.parse_args()
    names = [name for name in TASKS if not options.task or name in options.task]
    if options.stage in ("all", "train"):
        for name in names:
            make(name)
    if options.stage in ("all", "score"):
        score_all(names)
    if options.stage in ("all", "control"):
        control(names)
    if options.stage in ("all", "cards"):
        cards(names)


if __name__ == "__main__":
    main()

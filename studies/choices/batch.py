"""The choice of a batch size, on `glosses`: 1,280 rows, as 320 steps of 4 or as 20 steps of 64."""

from pathlib import Path
from statistics import mean

from studies.choices.searching import SEED, NotYet, Search
from studies.court.training import RECIPE, Broken, train_on
from studies.full_vs_lora import validation_loss
from studies.results import RESULTS
from studies.runner import Study

TASK, ROWS = "glosses", 1280
MIDDLES = {("lora", 4): -6, ("lora", 64): -5, ("full", 4): -9, ("full", 64): -8}  # −6 is 1e-3, −5 3e-3, −9 3e-5
SETTINGS = {"lora": {"r": 8, "lora_alpha": 16}, "full": {}}
SEEDS = (1, 2)
_recipe = {name: value for name, value in RECIPE.items() if name not in ("steps", "batch_size")} | {"rows": ROWS}


def candidate(method: str, batch_size: int) -> dict:
    return {"method": method, "settings": dict(SETTINGS[method]), "task": TASK, "batch_size": batch_size}


def run(setting: dict, seed: int) -> dict:
    """The validation loss after all the rows; None where training broke off."""
    if setting["learning_rate"] is None:
        raise NotYet(f"{setting} waits for its learning rate: finish the stage before first")
    size = {"batch_size": setting["batch_size"], "steps": ROWS // setting["batch_size"]}
    try:
        trained, tokenizer, task, result = train_on(setting, seed, setting["learning_rate"], size)
    except Broken as broken:
        return {"validation_loss": None, "broken": str(broken)}
    loss = validation_loss(trained.model, tokenizer, task)
    return {"validation_loss": loss, "losses": [round(each, 4) for each in result.losses]}


def _first(setting: dict, folder: Path) -> dict:
    return run(setting, SEED)


RATES = Search(
    "choices_batch_rates",
    _recipe | {"seed": SEED},
    [(candidate(*which), middle) for which, middle in MIDDLES.items()],
    _first,
)


def final(folder: Path = RESULTS) -> Study:
    """Each method and batch size at its own best rate, with two other seeds."""
    best = [each | {"learning_rate": RATES.best(each, folder)} for each, _ in RATES.candidates]
    grid = [each | {"seed": seed} for seed in SEEDS for each in best]

    def tidy(runs: list[dict]) -> dict:
        return compared(runs, RATES.study(folder).result()["best"])

    run_ = lambda setting: run(setting, setting["seed"])  # noqa: E731
    return Study("choices_batch", _recipe, grid, run_, tidy=tidy, folder=folder)


def compared(runs: list[dict], best: list[dict]) -> dict:
    """What the large batch costs each method, seed by seed; how many times full fine-tuning's rate LoRA's is; the runs.

    Args:
        best: of the search.
    """
    rises = {}
    for method in SETTINGS:
        ours = [each for each in runs if each["method"] == method]
        losses = {(each["batch_size"], each["seed"]): each["validation_loss"] for each in ours}
        if None not in losses.values():
            rises[method] = [losses[64, seed] - losses[4, seed] for seed in SEEDS]
    more = [ours - theirs for ours, theirs in zip(rises.get("lora", []), rises.get("full", []))]
    ratios = []
    for size in (4, 64):
        lora, full = (
            next(each for each in best if (each["method"], each["batch_size"]) == (method, size))
            for method in ("lora", "full")
        )
        both = lora["vertex"] and full["vertex"]
        ratio = {"of_grid": lora["learning_rate"] / full["learning_rate"]}
        ratios.append({"batch_size": size, **ratio, "of_vertex": lora["vertex"] / full["vertex"] if both else None})
    lost = {"rise": rises, "lora_more_than_full": more, "mean": mean(more) if more else None}
    return {"lost_at_64": lost, "rates_lora_to_full": ratios, "runs": runs}

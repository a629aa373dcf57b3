"""The stage `rates`: who is compared on which task, and which learning rate suits each."""

from pathlib import Path

import labkit
from studies.choices.searching import Search, lent
from studies.court import rates as courts
from studies.court.methods import setting_of
from studies.court.training import STEPS, Broken, train_on
from studies.full_vs_lora import validation_loss
from studies.make_adapters import digest

LORA, QLORA, FULL = "LoRA", "QLoRA", "full fine-tuning"
FORMS = {
    LORA: setting_of("lora"),
    QLORA: setting_of("lora", base={"quantize": "nf4", "double": True}),
    FULL: setting_of("full"),
}
MIDDLES = {LORA: -5, QLORA: -5, FULL: -7}  # 3e-3 and 3e-4, as the court found them on `glosses`
COMPARED = {"glosses": tuple(FORMS), "changelog": tuple(FORMS), "genus": (LORA,), "diacritics": (LORA,)}
TRIED = {"glosses": STEPS, "changelog": 30, "genus": 30, "diacritics": 30}  # steps; half of the court's are cheaper
BATCH_SIZE = 8  # the court's for `glosses`: some 300 tokens there, 350 on the others
RECIPE = {
    "data": {task: {split: digest(file) for split, file in labkit.load_task(task).files.items()} for task in COMPARED},
    "batch_size": BATCH_SIZE,
    "dtype": "float32",
}


def candidate(name: str, task: str) -> dict:
    """A method on a task, as a setting without a rate; where the court has the same, it's the court's."""
    return FORMS[name] | {"task": task}


def trained(setting: dict, seed: int, steps: int, **rows) -> tuple:
    """What :func:`studies.court.training.train_on` returns, for a setting with its ``learning_rate``.

    Raises:
        Broken: as there.
    """
    told_apart = {name: value for name, value in setting.items() if name not in ("learning_rate", "seed", "steps")}
    told_apart |= {"data": RECIPE["data"][setting["task"]]}
    size = {"steps": steps, "batch_size": BATCH_SIZE}
    return train_on(told_apart, seed, setting["learning_rate"], size, **rows)


def tried(setting: dict, folder: Path) -> dict:
    """The loss on the validation rows after one training, in nats per token; the court's, where it has had the same."""
    if found := lent(courts.study(folder), setting):
        return found
    try:
        made, tokenizer, task, result = trained(setting, courts.SEED, TRIED[setting["task"]])
    except Broken as broken:
        return {"validation_loss": None, "broken": str(broken)}
    loss = validation_loss(made.model, tokenizer, task)
    return {"validation_loss": loss, "losses": [round(each, 4) for each in result.losses]}


RATES = Search(
    "real_tasks_rates",
    {**RECIPE, "steps": TRIED, "seed": courts.SEED},
    [(candidate(name, task), MIDDLES[name]) for task, names in COMPARED.items() for name in names],
    tried,
)

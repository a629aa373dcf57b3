"""The advice as something to type: the command `labkit train`, or Python where that has no option for the method."""

import json
import shlex

from labkit.advice.cases import Case
from labkit.advice.figures import rate
from labkit.simulation.shapes import PRESETS


def how_to_train(case: Case) -> str:
    """The command with every choice in it; or lines of Python for a method that only :func:`labkit.adapt` knows."""
    chosen, fit, asked = case.chosen, case.fit, case.situation
    parts = chosen["batch size"] // fit.way.rows
    if chosen["method"] != "lora":
        settings = {"r": chosen.get("rank"), "lora_alpha": chosen.get("α")}
        said = "".join(f", {name}={value:g}" for name, value in settings.items() if value is not None)
        more = f", gradient_accumulation={parts}" if parts > 1 else ""
        return (
            f"trained = labkit.adapt(model, {json.dumps(chosen['method'])}{said})\n"
            f"config = labkit.TrainConfig(steps={chosen['steps']}, batch_size={chosen['batch size']}, "
            f"learning_rate={rate(chosen['learning rate'])}{more})\n"
            'labkit.train(model, tokenizer, task, config, validation="validation")'
        )
    options = [
        "labkit train --data train.jsonl --validation held-out.jsonl",
        "" if asked.own else f"--base {shlex.quote(_loadable(asked.name))}",
        "--quantize nf4 --double" if fit.way.method == "qlora" else "",
        "--dtype bfloat16" if asked.card else "",
        f"--rank {chosen['rank']} --alpha {chosen['α']:g} --targets {chosen['layers']}",
        f"--lr {rate(chosen['learning rate'])} --batch-size {chosen['batch size']} --steps {chosen['steps']}",
        f"--gradient-accumulation {parts}" if parts > 1 else "",
        "--gradient-checkpointing" if fit.way.checkpointing else "",
    ]
    command = " ".join(filter(None, options))
    if asked.use != "merge":
        return command
    four = " --quantize nf4 --double" if fit.way.method == "qlora" else ""
    return f"{command}\nlabkit merge runs/train/adapter merged{four} --dtype bfloat16"


def _loadable(name: str) -> str:
    """What `labkit train` loads a base by: a preset's hub id, or the name as it is."""
    return PRESETS[name.lower()].hub_id if name.lower() in PRESETS else name

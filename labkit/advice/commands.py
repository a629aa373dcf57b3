"""The advice as something to type: the command `labkit train`, or Python where that has no option for the method."""

import json
import shlex

from labkit.advice.cases import Case
from labkit.advice.figures import rate
from labkit.simulation.shapes import PRESETS

CHAT_FORM = {  # of the presets that are base models: the same shape
    "meta-llama/Llama-2-7b-hf": "meta-llama/Llama-2-7b-chat-hf",
    "meta-llama/Meta-Llama-3-8B": "meta-llama/Meta-Llama-3-8B-Instruct",
    "meta-llama/Meta-Llama-3-70B": "meta-llama/Meta-Llama-3-70B-Instruct",
}


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
        "" if asked.own else f"--base {shlex.quote(loadable(asked.name))}",
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


def notes(case: Case) -> list[str]:
    """What the command doesn't say: which rows, which tokens, which form of the model."""
    said = [
        "train.jsonl has a row per line: a prompt and a completion, or messages. Only the tokens of the answers count "
        "in the loss.",
        "Hold out held-out.jsonl for validation, and 100 rows or more for a test that chooses nothing.",
        "First try another learning rate; then more or fewer steps. The other settings can wait.",
    ]
    if loadable(case.situation.name) in CHAT_FORM.values():
        said.append(
            "--base is the form that was trained to chat. labkit writes every row as a chat, and the base form has "
            "never trained those tokens."
        )
    return said


def loadable(name: str) -> str:
    """What `labkit train` loads a base by: the hub id of a preset's chat form, or the name as it is."""
    hub_id = PRESETS[name.lower()].hub_id if name.lower() in PRESETS else name
    return CHAT_FORM.get(hub_id, hub_id) if name.lower() in PRESETS else name

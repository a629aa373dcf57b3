"""A small run with dropout, in a process of its own: to be killed, or started on several processes at once.

python training_run.py kill OUT SEED [validated]  train with resume=True in forked processes, killing them, until one
                               finishes
python training_run.py several OUT    train twice, as one of several processes
"""

import atexit
import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors.torch import save_file

from labkit import LoraConfig, Task, TrainConfig, inject_lora, train
from labkit.tasks import exact_match
from labkit.training import checkpoints

ROWS = [{"prompt": f"Add 1 to {i}.", "completion": str(i + 1)} for i in range(11)]
TASK = Task("adding", "Add.", exact_match, {}, max_new_tokens=3)


def make_model(dropout: float = 0.1):
    model = make_tiny_llama(max_position_embeddings=256)
    torch.manual_seed(1)
    return inject_lora(model, LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear"))


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


KILLED = TrainConfig(steps=25, batch_size=4, learning_rate=1e-2, checkpoint_every=1)
# rows that contradict those of the training a little: the loss on them falls first, and rises then
VALIDATION = [{"prompt": f"Add 1 to {i}.", "completion": str(i + 2)} for i in range(20, 25)]
VALIDATED = replace(KILLED, learning_rate=0.1, checkpoint_every=2, validate_every=3, score_rows=2)


def resume(out: Path, validated: bool) -> None:
    model = make_model()
    config, looking = (VALIDATED, {"validation": VALIDATION}) if validated else (KILLED, {})
    given = {"rows": ROWS, "output_dir": out / "checkpoints", "resume": True} | looking
    result = train(model, make_tiny_tokenizer(), TASK, config, **given)
    save_file(weights_of(model), out / "weights.safetensors")
    (out / "losses.json").write_text(json.dumps(result.losses))
    (out / "history.json").write_text(json.dumps(result.history))


def die_while_writing(nth_file: int) -> None:
    """Make the `nth_file`-th tensor file of this process end in the middle, together with the process."""
    whole, files = checkpoints.save_file, iter(range(1, 10**6))

    def save_half(tensors, path):
        whole(tensors, path)
        if next(files) == nth_file:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.save_file = save_half


def kill(out: Path, seed: str, kind: str = "") -> None:
    torch.set_num_threads(1)
    draw, kills = random.Random(int(seed)), 0
    while True:
        nth_file = draw.choice([1, 2, 3, 6]) if kills < 4 else None
        child = os.fork()
        if child == 0:
            if nth_file:
                die_while_writing(nth_file)
            resume(out, kind == "validated")
            os._exit(0)
        if nth_file is None and kills < 12:
            time.sleep(draw.uniform(0.02, 0.3))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(json.dumps({"kills": kills, "exit": os.WEXITSTATUS(status)}))
            return
        kills += 1


def tell_threads(out: Path) -> None:
    """Write the names of this process's threads; none where there is no /proc."""
    names = [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]
    (out / f"threads-{os.environ.get('RANK', 0)}.json").write_text(json.dumps(names))


def several(out: Path) -> None:
    for parts in (1, 2):
        model = make_model(dropout=0)
        config = TrainConfig(steps=6, batch_size=8, learning_rate=1e-2, gradient_accumulation=parts)
        seen = []
        given = {"rows": ROWS, "validation": VALIDATION, "on_step": lambda r, s=seen: s.append(r.step)}
        result = train(model, make_tiny_tokenizer(), TASK, config, **given)
        rank = int(os.environ.get("RANK", 0))
        save_file(weights_of(model), out / f"weights-{parts}-{rank}.safetensors")
        validations = [entry["validation_loss"] for entry in result.validations]
        told = {"losses": result.losses, "validations": validations, "steps": seen}
        told |= {"processes": int(os.environ.get("WORLD_SIZE", 1))}
        (out / f"told-{parts}-{rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    what, out = {"kill": kill, "several": several}[sys.argv[1]], Path(sys.argv[2])
    atexit.register(tell_threads, out)  # before training begins, so it is called after what training registers
    what(out, *sys.argv[3:])

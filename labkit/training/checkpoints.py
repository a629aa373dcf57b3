"""Checkpoints of a training run: whole or not there, and never unpickled.

<output_dir>/checkpoint-000010/
    weights.safetensors      the trained parameters
    optimizer.safetensors    the optimizer's averages and step count for each of them
    best.safetensors         with validation: the trained parameters as they were at its lowest loss
    run.json                 step, history, clock, the validation before the first step, and the recipe of the run
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from labkit.errors import TrainingError
from labkit.step.batch import Example
from labkit.storage.writing import folder_written_aside, remove_folder, restored
from labkit.training.config import TrainConfig

_PREFIX = "checkpoint-"
_NAME = re.compile(rf"{_PREFIX}(\d+)")
# code books of the 8-bit optimizers: the same for all parameters, and not changed by training
_CONSTANT = ("qmap1", "qmap2")
# in the place of the averages of a parameter that no step has reached yet, as an expert that no token was sent to
_NO_GRADIENT = "no_gradient"
_BEST = "best.safetensors"


class Restored(NamedTuple):
    """How far a run had come: steps done, what is told of them and of the model before, and the weights of its best
    validation, if any."""

    step: int
    history: list[dict]
    clock: list[float]
    before: dict | None
    best: dict[str, Tensor]


def digest(examples: Sequence[Example]) -> str:
    """A short fingerprint of encoded training rows, to tell whether a resumed run sees the same data."""
    content = json.dumps([[example.prompt_length, example.input_ids, *example.uncounted] for example in examples])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def save(
    output_dir: Path | str,
    step: int,
    trainable: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    recipe: dict,
    history: list[dict],
    clock: Sequence[float] = (),
    before: dict | None = None,
    best: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write the checkpoint of `step`, then remove older ones and what a killed run left half-written."""
    path = Path(output_dir) / f"{_PREFIX}{step:06d}"
    averages = {
        f"{name}.{key}": torch.as_tensor(value)  # torch counts steps in tensors, bitsandbytes in whole numbers
        for name, p in trainable.items()
        for key, value in optimizer.state.get(p, {}).items()
        if key not in _CONSTANT
    }
    for name, p in trainable.items():
        if not optimizer.state.get(p):
            averages[f"{name}.{_NO_GRADIENT}"] = torch.empty(0)
    with folder_written_aside(path) as folder:
        save_file({name: p.detach().contiguous() for name, p in trainable.items()}, folder / "weights.safetensors")
        save_file(averages, folder / "optimizer.safetensors")
        if best:
            save_file(best, folder / _BEST)
        run = {"step": step, "recipe": recipe, "history": history, "clock": [*clock], "before": before}
        (folder / "run.json").write_text(json.dumps(run), encoding="utf-8", newline="\n")
    remove_all_but_newest(output_dir)
    return path


def restore(
    output_dir: Path | str, trainable: dict[str, Tensor], optimizer: torch.optim.Optimizer, recipe: dict
) -> Restored:
    """Load the newest checkpoint into the parameters and the optimizer.

    Returns:
        How far the run had come: no step, and nothing else, when there is no checkpoint.

    Raises:
        TrainingError: the checkpoint belongs to a run with another recipe, data or model, or is damaged.
    """
    path = newest(output_dir)
    if path is None:
        return Restored(0, [], [], None, {})
    try:
        run = json.loads((path / "run.json").read_text(encoding="utf-8"))
        step, history, made_with = run["step"], run["history"], dict(run["recipe"])
        clock = run.get("clock") or [0.0] * len(history)
        weights, averages = load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors")
        before = run.get("before")
        has_best = before is not None or any("validation_loss" in entry for entry in history)
        # a copy, since Windows removes no file of which a part is in use
        best = {name: tensor.clone() for name, tensor in load_file(path / _BEST).items()} if has_best else {}
        state = {name: {} for name in weights}
        for full_name, value in averages.items():
            name, _, key = full_name.rpartition(".")
            state[name][key] = value.clone()
        if not all(state.values()):
            raise ValueError("a parameter's averages are missing")
        if has_best and _shapes(best) != _shapes(weights):
            raise ValueError(f"{_BEST} holds other parameters")
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise TrainingError(f"{path}: the checkpoint is damaged ({error}). Remove it and start again") from None
    # what a checkpoint of an older labkit doesn't say couldn't be chosen then, or wasn't looked at
    made_with = asdict(TrainConfig()) | {"dtype": recipe.get("dtype")} | made_with
    changed = sorted(key for key in recipe if recipe[key] != made_with.get(key))
    if changed or _shapes(weights) != _shapes(trainable):
        what = ", ".join(changed) or "the trained parameters"
        raise TrainingError(
            f"{path}: made by another run (not the same: {what}). Use another folder, or the same settings"
        )
    with torch.no_grad():
        for position, (name, parameter) in enumerate(trainable.items()):
            parameter.copy_(weights[name])
            if _NO_GRADIENT in state[name]:
                continue
            if hasattr(optimizer, "init_state"):
                # bitsandbytes makes the buffers itself, paged or not; what is in them comes from the checkpoint
                optimizer.init_state(optimizer.param_groups[0], parameter, 0, position)
                for key, value in state[name].items():
                    _fill(optimizer.state[parameter], key, value)
            else:
                optimizer.state[parameter] = {
                    # the step count stays on the CPU, where AdamW keeps it
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in state[name].items()
                }
    return Restored(step, history, clock, before, best)


def shared_prefix_before(output_dir: Path | str) -> bool | None:
    """Whether the run in `output_dir` was made with a shared prefix; None where no checkpoint says."""
    path = newest(output_dir)
    with suppress(OSError, ValueError, TypeError, KeyError):  # a damaged one is refused when it's restored
        return bool(json.loads((path / "run.json").read_text(encoding="utf-8"))["recipe"]["share_prefix"])
    return None


def newest(output_dir: Path | str) -> Path | None:
    """The newest complete checkpoint in `output_dir`, if there is one."""
    found = _checkpoints(output_dir)
    return found[-1][1] if found else None


def remove_all_but_newest(output_dir: Path | str) -> None:
    """Remove older checkpoints and those that a killed run left half-written. What can't be removed stays for now."""
    with suppress(OSError):
        for _, older in _checkpoints(output_dir)[:-1]:
            remove_folder(older)
        for leftover in Path(output_dir).glob(f".{_PREFIX}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _fill(state: dict, key: str, value: Tensor) -> None:
    if isinstance(state[key], Tensor):
        state[key].copy_(value)
    else:
        state[key] = value.item()


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _checkpoints(output_dir: Path | str) -> list[tuple[int, Path]]:
    """Complete checkpoints by step, oldest first; folders still being written have other names."""
    folder = Path(output_dir)
    for old in folder.glob(f".{_PREFIX}*.old"):  # of a run that was killed while it replaced a checkpoint
        restored(folder / old.name.split(".")[1])
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(match[1]), path) for path in paths if (match := _NAME.fullmatch(path.name)))

"""Before training: would the step of this very model, on this very batch, fit into the memory that is left?"""

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import nn

from labkit.base.describing import layer_count, set_layers
from labkit.errors import ConfigError
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, lora_layers
from labkit.simulation.depth import DEEP, empty, empty_copy
from labkit.simulation.ledger import by_phase
from labkit.simulation.shapes import layers_are_alike
from labkit.simulation.simulating import no_numbers, trace_without_numbers
from labkit.simulation.tracing import decoder_layers
from labkit.step.batch import Batch
from labkit.step.checkpointing import checkpoint_layers

_KNOWN: dict[tuple, dict[str, int]] = {}  # shapes of model and batch, and the way -> bytes by kind, of this process


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to take the step.

    Attributes:
        rows: of the batch that go through the model at once.
        checkpointing: whether layers keep their inputs only.
        optimizer: as in :func:`labkit.simulate`.
        lora: whether LoRA is put on all linear layers first, at rank 8.
    """

    rows: int
    checkpointing: bool
    optimizer: str
    lora: bool = False


def refuse_what_cannot_fit(
    model: nn.Module,
    batch: Batch,
    optimizer: str = "adamw",
    checkpointing: bool = False,
    free: int | None = None,
    may_checkpoint: bool = True,
) -> None:
    """Refuse to begin a training that will run out of memory, and say what would fit.

    The step is simulated on a copy of `model` without numbers, which takes about half a second, and once for the same
    shapes. What the model itself takes is in memory already and does not count. A model that cannot be simulated (with
    4-bit layers of bitsandbytes, say) is not refused.

    Args:
        model: as it is about to be trained.
        batch: the heaviest that goes through it at once.
        optimizer: "adamw", or one in 8 bits, paged or not.
        checkpointing: whether the layers will be checkpointed.
        free: bytes; what :func:`free_bytes` finds when None.
        may_checkpoint: whether checkpointing can be recommended.

    Raises:
        ConfigError: a step takes more than is free. The message has both numbers, and the first way that fits.
    """
    free = free_bytes(_device_of(model)) if free is None else free
    planned = Way(len(batch.input_ids), checkpointing, optimizer.removeprefix("paged_"))
    if any(type(parameter) is not nn.Parameter for parameter in model.parameters()):
        return  # a parameter with a storage of its own kind
    try:
        needed = _needed(model, batch, planned)
    except Exception:  # what stops the simulation of somebody else's model need not stop its training
        return
    if sum(needed.values()) <= free:
        return
    kinds = ", ".join(f"{kind} {size / 1e9:.2f}" for kind, size in needed.items() if size >= 5e6)
    begin = f"a step takes {sum(needed.values()) / 1e9:.2f} GB more than the model itself (in GB: {kinds}), and "
    tried = {}
    for way in _lighter_ways(planned, full=not any(lora_layers(model))):
        if way.checkpointing and not may_checkpoint:
            continue
        with suppress(Exception):  # not every model has checkpointing, or layers for LoRA
            tried[way] = sum(_needed(model, batch, way).values())
            if tried[way] <= free:
                remedy = f"It fits with {_in_words(way, planned)}: {tried[way] / 1e9:.2f} GB"
                break
    else:
        lightest = min([sum(needed.values()), *tried.values()])
        remedy = (
            f"Nothing tried here fits; the lightest takes {lightest / 1e9:.2f} GB. Take shorter rows or a smaller base"
        )
    raise ConfigError(f"{begin}{free / 1e9:.2f} GB are free. {remedy}. force=True tries all the same")


def free_bytes(device: torch.device) -> int:
    """Memory on `device` that a step can still take; a container's limit counts."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([psutil.virtual_memory().available, *_left_in_container()])


def _left_in_container(folder: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What a Linux container's limit leaves, if there is one. Pages of files do not count: they give way."""
    try:
        limit, used = (folder / name for name in ("memory.max", "memory.current"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return [int(limit.read_text()) - int(used.read_text()) + int(counts["file"])]
    except (OSError, ValueError, KeyError):  # no container, or "max"
        return []


def _lighter_ways(planned: Way, full: bool) -> Iterator[Way]:
    """What could be tried instead, the least changed first."""
    for optimizer in dict.fromkeys((planned.optimizer, "adamw8bit")):
        for rows, checkpointing in ((planned.rows, True), (1, planned.checkpointing), (1, True)):
            yield Way(rows, checkpointing, optimizer)
    if full:
        yield dataclasses.replace(planned, lora=True)
        yield Way(1, True, planned.optimizer, lora=True)


def _in_words(way: Way, planned: Way) -> str:
    changes = {
        "LoRA (labkit.inject_lora)": way.lora,
        "gradient_checkpointing=True": way.checkpointing and not planned.checkpointing,
        "one row at a time (a larger gradient_accumulation)": way.rows < planned.rows,
        f'optimizer="{way.optimizer}"': way.optimizer != planned.optimizer,
    }
    return " and ".join(words for words, changed in changes.items() if changed)


def _needed(model: nn.Module, batch: Batch, way: Way) -> dict[str, int]:
    """Bytes by kind that a step takes at its highest moment, besides what `model` itself takes."""
    device = "cuda" if _device_of(model).type == "cuda" else "cpu"
    key = (
        model.config.to_json_string(),
        _signature(model),
        repr(model),  # dropout has no tensors
        getattr(decoder_layers(model)[0], "gradient_checkpointing", False),
        tuple(batch.input_ids.shape),
        len(batch.positions),
        way,
        device,
    )
    if key not in _KNOWN:
        _KNOWN[key] = _simulated(model, batch, way, device)
    return _KNOWN[key]


def _simulated(model: nn.Module, batch: Batch, way: Way, device: str) -> dict[str, int]:
    rows = _first_rows(batch, way.rows)
    with no_numbers():
        like = _without_numbers(model)
        if way.lora:
            inject_lora(like, LoraConfig(r=8, target_modules="all-linear"))
        if way.checkpointing:
            checkpoint_layers(like)
        rows = Batch(*map(empty, (rows.input_ids, rows.labels, rows.positions)))
        depth = layer_count(model.config)
        phases, _ = by_phase(trace_without_numbers(like.train(), rows, way.optimizer, device, depth).sections)
    highest = max(phases.values(), key=lambda kinds: sum(kinds.values()))
    held = {} if way.lora else phases["loaded"]
    return {kind: size - held.get(kind, 0) for kind, size in highest.items() if kind != "weights"}


def _without_numbers(model: nn.Module) -> nn.Module:
    """A copy of `model` in shapes and dtypes only; where its layers are all alike, with a few of them."""
    layers = decoder_layers(model)
    alike = layers_are_alike(model.config) and len({_signature(layer) for layer in layers}) == 1
    depth = min(DEEP, len(layers)) if alike else len(layers)
    memo = {}
    memo[id(layers)] = nn.ModuleList(empty_copy(layer, memo) for layer in list(layers)[:depth])
    like = empty_copy(model, memo)
    set_layers(like.config, depth)
    return like


def _signature(module: nn.Module) -> tuple:
    tensors = (*module.named_parameters(), *module.named_buffers())
    return tuple((name, tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in tensors)


def _first_rows(batch: Batch, rows: int) -> Batch:
    counted = batch.positions[batch.positions < rows * batch.input_ids.shape[1]]
    return dataclasses.replace(batch, input_ids=batch.input_ids[:rows], labels=batch.labels[:rows], positions=counted)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device

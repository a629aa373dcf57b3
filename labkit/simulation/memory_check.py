"""Before training: would the step of this very model, on this very batch, fit into the memory that is left?"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import nn

from labkit.base.describing import layer_count, set_layers
from labkit.errors import ConfigError, reason_of, warn
from labkit.linear import PackedLinear, device_of, linear_layers
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora
from labkit.model_facts import note
from labkit.quant.bnb import find_bitsandbytes
from labkit.quant.linear4bit import NF4Linear
from labkit.simulation.extrapolation import DEEP, empty, empty_copy
from labkit.simulation.ledger import by_phase
from labkit.simulation.shapes import layers_are_alike
from labkit.simulation.simulating import no_numbers, trace_without_numbers
from labkit.simulation.tracing import added_tensors, decoder_layers
from labkit.step.batch import Batch
from labkit.step.gradient_checkpointing import checkpoint_layers

Kinds = dict[str, int]  # bytes by kind, as in labkit.simulation.ledger
_KNOWN: dict[tuple, tuple[Kinds, Kinds]] = {}  # shapes of model and batch, and the way -> see _moments
_SAID: set[str] = set()  # why a step couldn't be simulated, of this process


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to take the step.

    Attributes:
        rows: of the batch that go through the model at once.
        checkpointing: whether layers keep their inputs only.
        optimizer: as in :func:`labkit.simulate`.
        lora: whether LoRA is put on all linear layers first, at rank 8.
        nf4: whether the linear layers are quantized first.
    """

    rows: int
    checkpointing: bool
    optimizer: str
    lora: bool = False
    nf4: bool = False


def refuse_what_cannot_fit(
    model: nn.Module,
    batches: Batch | Sequence[Batch],
    optimizer: str = "adamw",
    checkpointing: bool = False,
    free: int | None = None,
    may_checkpoint: bool = True,
    device: torch.device | None = None,
    whole: Sequence[Batch] | None = None,
) -> None:
    """Refuse to begin a training that will run out of memory, and say what would fit.

    The step is simulated on a copy of `model` without numbers, which takes about half a second, and once for the same
    shapes. What the model itself takes where it's trained is in memory already and doesn't count. Where the step of a
    model can't be simulated, that's said, once, and nothing is refused.

    Args:
        model: as it is about to be trained.
        batches: what goes through it at once; or several such, when it isn't clear which takes most.
        optimizer: "adamw", or one in 8 bits, paged or not.
        checkpointing: whether the layers will be checkpointed.
        free: bytes; what :func:`free_bytes` finds when None.
        may_checkpoint: whether checkpointing can be recommended.
        device: where it's going to be trained, where that's not where it is.
        whole: the batches as they are where nothing is shared between rows: with checkpointing, or fewer rows at once.

    Raises:
        ConfigError: a step takes more than is free. The message has both numbers, and the first way that fits.
    """
    here = device_of(model)
    device = device or here
    free = free_bytes(device) if free is None else free
    if device.type != here.type:
        free -= sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    batches = [batches] if isinstance(batches, Batch) else list(batches)
    planned = Way(max(len(batch.input_ids) for batch in batches), checkpointing, optimizer.removeprefix("paged_"))

    profile = "cuda" if device.type == "cuda" else "cpu"

    def needed(way: Way, batches: Sequence[Batch] = batches) -> Kinds:
        return max((_needed(model, batch, way, profile) for batch in batches), key=lambda kinds: sum(kinds.values()))

    try:
        # one simulation is enough where even a batch that's the heaviest in every way fits
        if sum(needed(planned, [_at_least_as_heavy(batches)]).values()) <= free:
            return
        kinds = needed(planned)
    except Exception as error:  # what stops the simulation of somebody else's model need not stop its training
        _say_unchecked(model, error)
        return
    if sum(kinds.values()) <= free:
        return
    listed = ", ".join(f"{kind} {size / 1e9:.2f}" for kind, size in kinds.items() if size >= 5e6)
    begin = f"a step takes {sum(kinds.values()) / 1e9:.2f} GB more than the model itself (in GB: {listed}), and "
    tried = {}
    for way in _lighter_ways(planned, model):
        if way.checkpointing and not may_checkpoint:
            continue
        with suppress(Exception):  # not every model has checkpointing, or layers for LoRA
            shares = way.rows == planned.rows and way.checkpointing == planned.checkpointing
            tried[way] = sum(needed(way, batches if shares else whole or batches).values())
            if tried[way] <= free:
                takes = f"{tried[way] / 1e9:.2f} GB" if tried[way] >= 0 else "less than the model takes now"
                remedy = f"It fits with {_in_words(way, planned)}: {takes}"
                break
    else:
        lightest = min([sum(kinds.values()), *tried.values()])
        remedy = (
            f"Nothing tried here fits; the lightest takes {lightest / 1e9:.2f} GB. Take shorter rows or a smaller base"
        )
    raise ConfigError(f"{begin}{max(0, free) / 1e9:.2f} GB are free. {remedy}. force=True tries anyway")


def peak_of_step(model: nn.Module, batch: Batch, optimizer: str = "adamw", checkpointing: bool = False) -> int:
    """Bytes at the highest moment of a training step of `model` as it is, the model included, from a simulation.

    What is on the model doesn't matter: LoRA, another method of the family, or nothing. Its numbers are neither read
    nor changed.
    """
    way = Way(len(batch.input_ids), checkpointing, optimizer.removeprefix("paged_"))
    highest, _ = _moments(model, batch, way, "cuda" if device_of(model).type == "cuda" else "cpu")
    return sum(highest.values())


def _say_unchecked(model: nn.Module, error: Exception) -> None:
    """A warning, once for the same reason."""
    said = f"Whether a step of {type(model).__name__} fits into memory couldn't be checked: {reason_of(error)}"
    said += ". Training starts anyway"
    if said not in _SAID:
        _SAID.add(said)
        warn(said)


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


def _lighter_ways(planned: Way, model: nn.Module) -> Iterator[Way]:
    """What could be tried instead, the least changed first."""
    optimizers = (planned.optimizer, "adamw8bit") if find_bitsandbytes() else (planned.optimizer,)
    for optimizer in dict.fromkeys(optimizers):
        for rows, checkpointing in ((planned.rows, True), (1, planned.checkpointing), (1, True)):
            yield Way(rows, checkpointing, optimizer)
    is_base = not added_tensors(model)  # all of it learns, or a part
    if is_base:
        yield dataclasses.replace(planned, lora=True)
        yield Way(1, True, planned.optimizer, lora=True)
    if not any(isinstance(module, PackedLinear) for module in model.modules()):
        for rows, checkpointing in ((planned.rows, planned.checkpointing), (1, True)):
            yield Way(rows, checkpointing, planned.optimizer, lora=is_base, nf4=True)


def _in_words(way: Way, planned: Way) -> str:
    changes = {
        'a base in four bits (load it with quantize="nf4")': way.nf4,
        "LoRA (labkit.inject_lora)": way.lora,
        "gradient_checkpointing=True": way.checkpointing and not planned.checkpointing,
        "one row at a time (a larger gradient_accumulation)": way.rows < planned.rows,
        f'optimizer="{way.optimizer}"': way.optimizer != planned.optimizer,
    }
    return " and ".join(words for words, changed in changes.items() if changed)


def _needed(model: nn.Module, batch: Batch, way: Way, profile: str = "cpu") -> Kinds:
    """Bytes by kind that a step takes at its highest moment, besides what `model` takes as it is."""
    highest, loaded = _moments(model, batch, way, profile)
    if way.lora or way.nf4:
        _, loaded = _moments(model, batch, dataclasses.replace(way, lora=False, nf4=False), profile)
    return {kind: highest.get(kind, 0) - loaded.get(kind, 0) for kind in {**highest, **loaded}}


def _moments(model: nn.Module, batch: Batch, way: Way, profile: str) -> tuple[Kinds, Kinds]:
    """Bytes by kind at the highest moment of a step, and before the first."""
    rows, tokens = min(way.rows, len(batch.input_ids)), batch.input_ids.shape[1]
    # of fewer rows those whose labels are most: any of them may have to go alone
    counted = (batch.positions // tokens).bincount().sort(descending=True).values[:rows].sum().item()
    key = (
        model.config.to_json_string(),
        _signature(model),
        repr(model),  # dropout has no tensors
        getattr(decoder_layers(model)[0], "gradient_checkpointing", False),
        (rows, tokens, counted),
        way,
        profile,
    )
    if key not in _KNOWN:
        _KNOWN[key] = _simulated(model, (rows, tokens, counted), way, profile)
    return _KNOWN[key]


def _simulated(model: nn.Module, size: tuple[int, int, int], way: Way, profile: str) -> tuple[Kinds, Kinds]:
    with no_numbers():
        like = _without_numbers(model)
        if way.nf4:
            _quantize(like)
        if way.lora:
            note(like, method=None)
            inject_lora(like, LoraConfig(r=8, target_modules="all-linear"))
        if way.checkpointing:
            checkpoint_layers(like)
        depth = layer_count(model.config)
        phases, _ = by_phase(trace_without_numbers(like.train(), _empty(size), way.optimizer, profile, depth).sections)
    return max(phases.values(), key=lambda kinds: sum(kinds.values())), phases["loaded"]


def _quantize(model: nn.Module) -> None:
    """As :func:`labkit.quantize_model` would have done before anything was added."""
    added = set(map(id, added_tensors(model)))
    for name, layer in linear_layers(model).items():
        if isinstance(layer, nn.Linear) and id(layer.weight) not in added:
            model.set_submodule(name, NF4Linear(layer))


def _at_least_as_heavy(batches: Sequence[Batch]) -> Batch:
    """A batch with the most rows, the most tokens and the most labels of any."""
    rows, tokens = (max(batch.input_ids.shape[i] for batch in batches) for i in (0, 1))
    return _empty((rows, tokens, max(len(batch.positions) for batch in batches)))


def _empty(size: tuple[int, int, int]) -> Batch:
    """A batch of so many rows, so many tokens each, of which the loss counts so many in all, row by row."""
    rows, tokens, counted = size
    ids = torch.zeros(rows, tokens, dtype=torch.int64)
    return Batch(ids, ids.clone(), torch.arange(counted))


def _without_numbers(model: nn.Module) -> nn.Module:
    """A copy of `model` in shapes and dtypes only; where its layers are all alike, with a few of them."""
    layers = decoder_layers(model)
    alike = layers_are_alike(model.config) and len({_signature(layer) for layer in layers}) == 1
    depth = min(DEEP, len(layers)) if alike else len(layers)
    # layers of bitsandbytes can't be copied without numbers; those of labkit take the same bytes
    packed = [m for m in model.modules() if isinstance(m, PackedLinear) and not isinstance(m, NF4Linear)]
    memo = {id(layer): _as_labkits(layer) for layer in packed}
    memo[id(layers)] = nn.ModuleList(empty_copy(layer, memo) for layer in list(layers)[:depth])
    like = empty_copy(model, memo)
    set_layers(like.config, depth)
    return like


def _as_labkits(layer: nn.Module) -> NF4Linear:
    dense = nn.Linear(layer.in_features, layer.out_features, bias=False, dtype=layer.weight.quant_state.dtype)
    twin = NF4Linear(dense, layer.block_size, layer.double_quant)
    twin.bias = None if layer.bias is None else empty(layer.bias)
    return twin.train(layer.training)


def _signature(module: nn.Module) -> tuple:
    tensors = (*module.named_parameters(), *module.named_buffers())
    return tuple((name, tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in tensors)

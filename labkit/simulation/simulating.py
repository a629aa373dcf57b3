"""A training step of a model that is not there: real code, real shapes, no numbers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
import transformers.masking_utils
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, PretrainedConfig
from transformers.initialization import no_init_weights

from labkit.errors import ConfigError
from labkit.linear import is_linear
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, trainable_parameters
from labkit.quant.bnb import find_bitsandbytes
from labkit.quant.convert import quantize_model
from labkit.simulation import workspaces
from labkit.simulation.cuda import BLOCK, EXTRA, notes
from labkit.simulation.depth import DEEP, SHALLOW, extrapolate, line
from labkit.simulation.ledger import StepCost, by_phase
from labkit.simulation.options import DTYPES, StepOptions, counted_tokens
from labkit.simulation.shapes import config_of, layers_are_alike, with_layers
from labkit.simulation.tally import Section, Tally
from labkit.simulation.tracing import trace_step
from labkit.step import checkpoint_layers
from labkit.text import Batch


def simulate(
    model: str | Path | PretrainedConfig,
    method: str = "lora",
    *,
    r: int = 8,
    target_modules: Sequence[str] | str = "all-linear",
    batch_size: int = 1,
    sequence: int = 512,
    labelled: float | int = 1.0,
    dtype: str = "bfloat16",
    adapter_dtype: str = "float32",
    optimizer: str = "adamw",
    checkpointing: bool = False,
    double: bool = True,
    device: str = "cuda",
    every_layer: bool = False,
) -> StepCost:
    """What one training step would cost, without having the model or the memory.

    The model's own class, labkit's own loss, backward pass, clipping and optimizer run as in training, on tensors
    that have a shape, a dtype and no numbers; every storage is counted from its making to its end.

    Args:
        model: a preset (``"llama-3-70b"``, see :data:`labkit.simulation.shapes.PRESETS`), the path of a
            ``config.json`` or of its folder, a hub id, or a config.
        method: "full", "lora", or "qlora" (linear layers in NF4, LoRA on top).
        r: rank of the adapters.
        target_modules: which layers get one, as in :class:`labkit.LoraConfig`.
        batch_size: rows.
        sequence: tokens a row.
        labelled: how many tokens of a row the loss counts: a share (float) or a number (int).
        dtype: of the base: "float32", "bfloat16" or "float16".
        adapter_dtype: of A and B.
        optimizer: "adamw", "adamw8bit" (bitsandbytes' state) or "sgd".
        checkpointing: keep only each layer's input, and compute the rest again on the way back.
        double: "qlora" only: quantize the scales, too.
        device: "cuda" adds what a GPU does differently (:mod:`labkit.simulation.cuda`), "cpu" is this machine.
        every_layer: simulate all layers, instead of a few and a line through them. The result is the same, to the
            byte; it takes longer.

    Returns:
        The ledger, as :class:`labkit.simulation.StepCost`.

    Raises:
        ConfigError: an unknown model or choice, a number that makes no sense, a sequence longer than the context, a
            model without linear layers or with an architecture whose step depends on its numbers.
    """
    targets = target_modules if isinstance(target_modules, str) else tuple(target_modules)
    options = StepOptions(
        method=method,
        r=r,
        target_modules=targets,
        batch_size=batch_size,
        sequence=sequence,
        labelled=labelled,
        dtype=dtype,
        adapter_dtype=adapter_dtype,
        optimizer=optimizer,
        checkpointing=checkpointing,
        double=double,
        device=device,
    )
    config = config_of(model)
    context = getattr(config, "max_position_embeddings", None)
    if context is not None and sequence > context:
        raise ConfigError(f"a sequence of {sequence:,} tokens is longer than the model's context of {context:,}")
    depth = config.num_hidden_layers
    if every_layer or depth <= DEEP or not layers_are_alike(config):
        sections, trained, parameters = _simulated(config, options)
    else:
        low, high = (_simulated(with_layers(config, layers), options) for layers in (SHALLOW, DEEP))
        sections = extrapolate(low[0], high[0], depth)
        trained, parameters = (line(low[i], high[i], depth) for i in (1, 2))
    phases, flops = by_phase(sections)
    saved = parameters * DTYPES[dtype].itemsize if method == "full" else 4 * trained
    return StepCost(
        phases=phases,
        extra=EXTRA if device == "cuda" else {},
        flops=flops,
        trained=trained,
        parameters=parameters,
        saved_bytes=saved,
        tokens=batch_size * sequence,
        assumptions=_assumptions(config, options, trained),
    )


def _simulated(config: PretrainedConfig, options: StepOptions) -> tuple[list[Section], int, int]:
    """The sections of the step, how many parameters are trained, and how many there are."""
    return _remembered(type(config), config.to_json_string(use_diff=False), options)


@lru_cache(maxsize=256)
def _remembered(kind: type[PretrainedConfig], entries: str, options: StepOptions) -> tuple[list[Section], int, int]:
    if MODEL_FOR_CAUSAL_LM_MAPPING.get(kind, None) is None:
        raise ConfigError(f"{kind.model_type!r} is not a causal language model of transformers")
    # Both are imported by now: a module that is first imported among tensors without numbers keeps such tensors for
    # good where it makes some of its own, as bitsandbytes does with its tables.
    find_bitsandbytes()
    on_gpu = options.device == "cuda"
    try:
        with FakeTensorMode(), _one_sequence_a_row():
            model = _build(kind.from_dict(json.loads(entries)), options)
            batch = empty_batch(options.batch_size, options.sequence, options.labelled)
            tally = Tally(BLOCK, workspaces.on_cuda) if on_gpu else Tally(1, workspaces.on_cpu)
            sections = trace_step(model, batch, options.optimizer, tally, foreach=on_gpu)
            return sections, *trainable_parameters(model)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise ConfigError(
            f"a step of {kind.model_type!r} depends on its numbers ({error}), and a simulation has none: "
            "take the measure of a small one with labkit.measure"
        ) from error


def _build(config: PretrainedConfig, options: StepOptions) -> nn.Module:
    """The model, ready for its step, without numbers."""
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[options.dtype], trust_remote_code=False)
    model.tie_weights()  # left out together with the drawing of numbers
    if options.method != "full":
        head = model.get_output_embeddings()
        if not any(is_linear(module) for module in model.modules() if module is not head):
            raise ConfigError(f"{config.model_type!r} has no linear layers that LoRA could adapt")
        if options.method == "qlora":
            quantize_model(model, double=options.double)
        targets = options.target_modules if isinstance(options.target_modules, str) else list(options.target_modules)
        inject_lora(model, LoraConfig(r=options.r, target_modules=targets), dtype=DTYPES[options.adapter_dtype])
    if options.checkpointing:
        checkpoint_layers(model)
    return model.train()


def empty_batch(batch_size: int, sequence: int, labelled: float | int) -> Batch:
    """A batch of zeros, of which the loss counts so much of each row (see :func:`counted_tokens`)."""
    counted = counted_tokens(labelled, sequence)
    ids = torch.zeros(batch_size, sequence, dtype=torch.int64)
    return Batch(ids, ids.clone(), torch.arange(batch_size * counted))


@contextmanager
def _one_sequence_a_row() -> Iterator[None]:
    """Tell transformers that no row holds several sequences.

    It asks the position ids, and where they have no values it takes the worst for granted: a mask of its own, and an
    attention that training never uses. In a step of labkit's the positions are 0, 1, 2, …
    """
    asked = transformers.masking_utils.find_packed_sequence_indices
    transformers.masking_utils.find_packed_sequence_indices = lambda position_ids: None
    try:
        yield
    finally:
        transformers.masking_utils.find_packed_sequence_indices = asked


def _assumptions(config: PretrainedConfig, options: StepOptions, trained: int) -> list[str]:
    counted = counted_tokens(options.labelled, options.sequence)
    lines = [
        f"{config.model_type} with {config.num_hidden_layers} layers; the base's weights in {options.dtype}"
        + (
            f", its linear layers in NF4 with {'double-quantized ' if options.double else ''}scales"
            if options.method == "qlora"
            else ""
        ),
        f"{options.batch_size} × {options.sequence:,} tokens a step, {options.batch_size * counted:,} of them counted "
        "by the loss; logits only there",
        f"optimizer {options.optimizer}, "
        + {
            "adamw": "both moments in the dtype of what it trains",
            "adamw8bit": "both moments in 8 bits",
            "sgd": "no state",
        }[options.optimizer],
        f"activation checkpointing {'of each layer' if options.checkpointing else 'off'}; no dropout",
    ]
    if options.method != "full":
        targets = options.target_modules
        names = targets if isinstance(targets, str) else ", ".join(targets)
        lines.insert(1, f"adapters of rank {options.r} in {options.adapter_dtype} on {names}")
    return lines + (notes(config, options, trained) if options.device == "cuda" else [])

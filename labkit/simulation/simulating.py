"""A training step of a model that is not there: real code, real shapes, no numbers."""

import itertools
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import torch
import transformers.masking_utils
from torch import nn
from torch._subclasses import fake_impls
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.nn.modules.module import register_module_module_registration_hook
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, PretrainedConfig
from transformers.initialization import no_init_weights

from labkit.base.describing import context_length, layer_count
from labkit.errors import ConfigError, LabkitError
from labkit.linear import linear_layers
from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, trainable_parameters
from labkit.quant.bnb import find_bitsandbytes
from labkit.quant.convert import in_words, quantize_model, weights_elsewhere
from labkit.simulation.devices import EXTRA, notes_on_cuda, tally_for
from labkit.simulation.extrapolation import DEEP, Trace, repeat_layer, trace_to_depth
from labkit.simulation.flops import GROUPED
from labkit.simulation.ledger import StepCost, by_phase
from labkit.simulation.options import DTYPES, StepOptions, counted_tokens
from labkit.simulation.shapes import config_of, layers_are_alike, reason_of, with_layers
from labkit.simulation.tracing import trace_step
from labkit.step.batch import Batch
from labkit.step.gradient_checkpointing import checkpoint_layers

MOST_MODULES = 100_000  # DeepSeek V3 with a layer of its own for each of its experts has about 50,000

# JSON has no infinity, and newer versions of transformers write it in a form of their own
_DECODE = getattr(PretrainedConfig, "_decode_special_floats", lambda entries: entries)


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
        sequence: tokens per row.
        labelled: how many tokens of a row the loss counts: a share (float) or a number (int).
        dtype: of the base: "float32", "bfloat16" or "float16".
        adapter_dtype: of A and B.
        optimizer: "adamw", "adamw8bit" (bitsandbytes' state) or "sgd".
        checkpointing: keep only each layer's input, and compute the rest again on the way back.
        double: "qlora" only: quantize the scales, too.
        device: "cuda" adds what a GPU does differently (:mod:`labkit.simulation.devices`), "cpu" is this machine.
        every_layer: simulate all layers, instead of a few and a line through them. The result is the same, to the
            byte; it takes longer.

    Returns:
        The ledger, as :class:`labkit.simulation.StepCost`.

    Raises:
        ConfigError: an unknown model or choice, a number that makes no sense, a sequence longer than the context, a
            model without linear layers, with an architecture whose step depends on its numbers, or with a config that
            transformers can't make a model of.
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
    context = context_length(config)
    if context is not None and sequence > context:
        raise ConfigError(f"a sequence of {sequence:,} tokens is longer than the model's context of {context:,}")
    trace = _simulated(type(config), config.to_json_string(use_diff=False), options, every_layer)
    phases, flops = by_phase(trace.sections)
    saved = trace.parameters * DTYPES[dtype].itemsize if method == "full" else 4 * trace.trained
    return StepCost(
        phases=phases,
        extra=EXTRA if device == "cuda" else {},
        flops=flops,
        trained=trace.trained,
        parameters=trace.parameters,
        saved_bytes=saved,
        tokens=batch_size * sequence,
        assumptions=_assumptions(config, options, trace),
    )


@lru_cache(maxsize=256)
def _simulated(kind: type[PretrainedConfig], entries: str, options: StepOptions, every_layer: bool) -> Trace:
    name = kind.model_type
    if MODEL_FOR_CAUSAL_LM_MAPPING.get(kind, None) is None:
        raise ConfigError(
            f"{name!r} is not a causal language model of transformers, and labkit trains no others: choose a base that "
            "AutoModelForCausalLM loads"
        )
    try:
        config = kind.from_dict(_DECODE(json.loads(entries)))
        depth = layer_count(config)
        with no_numbers():
            if depth > DEEP and layers_are_alike(config) and not every_layer:
                model = repeat_layer(_build(with_layers(config, 1), options), DEEP)
            else:
                model = _build(config, options)
            batch = empty_batch(options.batch_size, options.sequence, options.labelled)
            return trace_without_numbers(model, batch, options.optimizer, options.device, depth)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise ConfigError(
            f"a step of {name!r} depends on its numbers, and a simulation has none: measure a small one with "
            "labkit.measure in Python"
        ) from error
    except LabkitError:
        raise
    except Exception as error:  # a config whose entries don't go together can make any of somebody else's lines fail
        raise ConfigError(
            f"transformers can't run a {name!r} model of this config: {reason_of(error)}. Correct the config"
        ) from error


@contextmanager
def no_numbers() -> Iterator[None]:
    """Inside the ``with`` block, tensors that are made have a shape and a dtype, and take no memory.

    transformers asks the position ids whether a row holds several sequences, and a mask, which BART and others make of
    ones, whether there is padding. Where they have no values it takes the worst for granted, and an attention that
    training never uses. In a step of labkit's the positions are 0, 1, 2, …, and no mask is given, so the answers are
    known.

    And torch knows the shape of a grouped product in bfloat16 only, although it computes it in any dtype.
    """
    # A module that is first imported among tensors without numbers keeps such tensors for good where it makes some of
    # its own, as bitsandbytes does with its tables. So it is imported before.
    find_bitsandbytes()
    masks = transformers.masking_utils
    positions_are_plain = patch.object(masks, "find_packed_sequence_indices", lambda _: None)
    can_be_left_out = masks._ignore_causal_mask_sdpa
    nothing_is_padding = patch.object(
        masks, "_ignore_causal_mask_sdpa", lambda padding_mask, *args, **named: can_be_left_out(None, *args, **named)
    )
    grouped = patch.dict(fake_impls.op_implementations_dict, {GROUPED.default: _grouped_product})
    with FakeTensorMode(), positions_are_plain, nothing_is_padding, grouped:
        yield


def _grouped_product(mode: FakeTensorMode, operation, a, b, offs=None, bias=None, out_dtype=None) -> torch.Tensor:
    """What ``torch.nn.functional.grouped_mm`` gives, without its numbers: `a` or `b` or both have a matrix a group."""
    groups = [] if a.dim() != b.dim() else [a.shape[0] if a.dim() == 3 else len(offs)]
    with mode:
        return a.new_empty([*groups, a.shape[-2], b.shape[-1]], dtype=out_dtype or a.dtype)


def trace_without_numbers(model: nn.Module, batch: Batch, optimizer: str, device: str, depth: int) -> Trace:
    """One step of `model`, or of the like of it with `depth` layers (see :func:`trace_to_depth`)."""

    def trace(model: nn.Module) -> Trace:
        sections = trace_step(model, batch, optimizer, tally_for(device), foreach=device == "cuda")
        return Trace(sections, *trainable_parameters(model), weights_elsewhere(model))

    return trace_to_depth(model, depth, trace)


def _build(config: PretrainedConfig, options: StepOptions) -> nn.Module:
    """The model, ready for its step, without numbers."""
    with no_init_weights(), _bounded(config.model_type):
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[options.dtype], trust_remote_code=False)
    model.tie_weights()  # left out together with the drawing of numbers
    if options.method != "full":
        if not linear_layers(model):
            raise ConfigError(f"{config.model_type!r} has no linear layers that LoRA could adapt")
        if options.method == "qlora":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what stays dense is among the assumptions
                quantize_model(model, double=options.double)
        targets = options.target_modules if isinstance(options.target_modules, str) else list(options.target_modules)
        inject_lora(model, LoraConfig(r=options.r, target_modules=targets), dtype=DTYPES[options.adapter_dtype])
    if options.checkpointing:
        checkpoint_layers(model)
    return model.train()


@contextmanager
def _bounded(name: str) -> Iterator[None]:
    """Inside the ``with`` block, a model of more than :data:`MOST_MODULES` is given up: to make it takes for ever."""
    made = itertools.count(1)

    def count(*_) -> None:
        if next(made) > MOST_MODULES:
            raise ConfigError(f"this {name!r} model has more than {MOST_MODULES:,} modules, too many to simulate")

    handle = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def empty_batch(batch_size: int, sequence: int, labelled: float | int) -> Batch:
    """A batch of zeros, of which the loss counts so much of each row (see :func:`counted_tokens`)."""
    counted = counted_tokens(labelled, sequence)
    ids = torch.zeros(batch_size, sequence, dtype=torch.int64)
    return Batch(ids, ids.clone(), torch.arange(batch_size * counted))


def _assumptions(config: PretrainedConfig, options: StepOptions, trace: Trace) -> list[str]:
    lines = [
        f"{config.model_type} with {layer_count(config)} layers; the base's weights in {options.dtype}"
        + (
            f", its linear layers in NF4 with {'double-quantized ' if options.double else ''}scales"
            if options.method == "qlora"
            else ""
        ),
        f"{options.batch_size} × {options.sequence:,} tokens per step, {options.batch_size * options.labelled:,} of "
        "them counted by the loss; logits only there",
        f"optimizer {options.optimizer}, "
        + {
            "adamw": "both moments in the dtype of what it trains",
            "adamw8bit": "both moments in 8 bits",
            "sgd": "no state",
        }[options.optimizer],
        f"activation checkpointing {'of each layer' if options.checkpointing else 'off'}; dropout only where the "
        "config says so",
    ]
    if options.method != "full":
        targets = options.target_modules
        names = targets if isinstance(targets, str) else ", ".join(targets)
        lines.insert(1, f"adapters of rank {options.r} in {options.adapter_dtype} on {names}")
        if elsewhere := in_words(trace.elsewhere, trace.parameters - trace.trained):
            stay = f"they stay in {options.dtype}, and " if options.method == "qlora" else ""
            lines.insert(2, f"{elsewhere}: {stay}LoRA can't reach them")
    return lines + (notes_on_cuda(config, options, trace.trained) if options.device == "cuda" else [])

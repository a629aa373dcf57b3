"""One real training step, tallied: the same lines for tensors that have values and for those that have none."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch import Tensor, nn

from labkit.base.describing import layer_count
from labkit.errors import ConfigError
from labkit.family.virtual_tokens import VirtualTokens
from labkit.lora.wrapping import adapted_layers
from labkit.simulation.devices import on_cpu
from labkit.simulation.idle_optimizers import make_optimizer, prime
from labkit.simulation.tally import Section, Tally
from labkit.step.batch import Batch
from labkit.step.loss import CompletionLoss


def trace_step(
    model: nn.Module, batch: Batch, optimizer: str, tally: Tally, foreach: bool | None = None
) -> list[Section]:
    """Tally one training step of what is trainable in `model`: any step but the first, which has no moments yet.

    The learning rate is zero: the step allocates and computes all that it would, and the weights stay as they are.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    stepper = make_optimizer(optimizer, trained, foreach)
    prime(stepper, trained)
    tally.register("weights", [*model.parameters(), *model.buffers()])
    tally.register("adapters", added_tensors(model))
    tally.enter("forward", "embedding")
    tally.register("optimizer", state_of(stepper))
    tally.register("activations", [batch.input_ids, batch.labels, batch.positions])
    with _no_garbage_collection(), _sections(model, tally), _random_states_counted(tally), tally:
        summed, counted = CompletionLoss(model)(batch)
        tally.keep_as("activations", born_in="forward")
        tally.enter("backward", "head")
        (summed / counted).backward()
        tally.register("gradients", [p.grad for p in trained if p.grad is not None])
        # what has no part in the loss, such as adapters on what sees pictures, never gets any moments
        tally.discount(state_of(stepper))
        for parameter in trained:
            if parameter.grad is None:
                stepper.state.pop(parameter, None)
        tally.register("optimizer", state_of(stepper))
        tally.enter("step", "clip")
        nn.utils.clip_grad_norm_(trained, 1.0)
        tally.enter("step", "update")
        stepper.step()
        stepper.zero_grad()
    return tally.finished()


def added_tensors(model: nn.Module) -> list[Tensor]:
    """What adapting added to `model`, learning or frozen: all of an adapted layer but its base, and virtual tokens."""
    added = [module for module in model.modules() if isinstance(module, VirtualTokens)]
    tensors = []
    for _, layer in adapted_layers(model):
        added += [part for name, part in layer.named_children() if name != "base_layer"]
        own = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
        tensors += [tensor for tensor in own if tensor is not layer.unmerged_weight]
    return tensors + [tensor for module in added for tensor in (*module.parameters(), *module.buffers())]


def state_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All tensors that `optimizer` keeps from step to step."""
    return [t for state in optimizer.state.values() for t in state.values() if torch.is_tensor(t)]


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The list of the model's layers. ConfigError where there is none."""
    depth = layer_count(model.config)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise ConfigError(f"{type(model).__name__} has no list of {depth} layers")


@contextmanager
def _sections(model: nn.Module, tally: Tally) -> Iterator[None]:
    """Tell the tally at which layer the step is, on its way there and back."""
    layers = decoder_layers(model)

    def on_way_back(hidden: Tensor, part: str | int) -> None:
        if hidden.requires_grad:
            hidden.register_hook(lambda _: tally.enter("backward", part))

    def before_first(layer, inputs, named):
        tally.enter("forward", 0)
        on_way_back(inputs[0] if inputs else named["hidden_states"], "embedding")

    def after(number: int):
        def hook(layer, inputs, output):
            on_way_back(output[0] if isinstance(output, tuple) else output, number)
            tally.enter("forward", number + 1 if number + 1 < len(layers) else "head")

        return hook

    with ExitStack() as stack:
        stack.enter_context(layers[0].register_forward_pre_hook(before_first, with_kwargs=True))
        for number, layer in enumerate(layers):
            stack.enter_context(layer.register_forward_hook(after(number)))
        yield


@contextmanager
def _random_states_counted(tally: Tally) -> Iterator[None]:
    """Checkpointing keeps the state of the CPU's random numbers for each layer; for a GPU's memory that's no matter."""
    read = torch.get_rng_state
    counts = patch.object(torch, "get_rng_state", lambda: tally.count(read()))
    with counts if tally.workspace_of is on_cpu else nullcontext():
        yield


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """So that tensors held by reference cycles are freed at the same moment in every run: after the step."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""The same ledger, from a step that really happens."""

from torch import nn

from labkit.errors import ConfigError
from labkit.lora.inject import trainable_parameters
from labkit.simulation.devices import on_cpu
from labkit.simulation.ledger import StepCost, by_phase
from labkit.simulation.options import StepOptions
from labkit.simulation.simulating import empty_batch
from labkit.simulation.tally import Tally
from labkit.simulation.tracing import trace_step
from labkit.step.batch import Batch


def measure(
    model: nn.Module,
    batch: Batch | None = None,
    *,
    batch_size: int = 1,
    sequence: int = 512,
    labelled: float | int = 1.0,
    optimizer: str = "adamw",
) -> StepCost:
    """What one training step of `model` costs in memory, by taking it.

    The learning rate is zero, so the weights stay as they are; gradients are cleared. What attention takes inside
    its kernels is added as in :func:`labkit.simulate`, on a CPU.

    Args:
        model: with LoRA injected, or with all parameters trainable; checkpointed if it is to be.
        batch: of this batch; or of a batch of zeros,
        batch_size: with so many rows,
        sequence: tokens per row,
        labelled: so many of which the loss counts, as in :func:`labkit.simulate`.
        optimizer: "adamw", "adamw8bit" (its state only) or "sgd".

    Raises:
        ConfigError: nothing is trainable, or a choice makes no sense.
    """
    trained, parameters = trainable_parameters(model)
    if not trained:
        raise ConfigError("nothing to train: every parameter is frozen. Did you call inject_lora?")
    if batch is None:
        StepOptions(batch_size=batch_size, sequence=sequence, labelled=labelled, optimizer=optimizer)  # refuses
        batch = empty_batch(batch_size, sequence, labelled)
    batch = batch.to(next(model.parameters()).device)
    was_training = model.training
    model.train()
    try:
        tally = Tally(workspace_of=on_cpu if batch.input_ids.device.type == "cpu" else None)
        phases, flops = by_phase(trace_step(model, batch, optimizer, tally))
    finally:
        model.train(was_training)
        model.zero_grad()
    whole = sum(p.numel() * p.element_size() for p in model.parameters())
    return StepCost(
        phases=phases,
        extra={},
        flops=flops,
        trained=trained,
        parameters=parameters,
        saved_bytes=4 * trained if phases["loaded"]["adapters"] else whole,
        tokens=batch.input_ids.numel(),
        assumptions=["measured: every storage of one real step"],
    )

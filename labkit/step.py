"""One training step's forward pass: from a batch to its loss.

Logits are the widest tensor of a language model (49,152 numbers a token in SmolLM2), and most tokens of
a batch are prompt or padding, for which nobody asks the loss. So the output head is run only where there
is a label.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.prefix import attention_by_row, pack, refuse_unless_exact
from labkit.text import Batch


class CompletionLoss(nn.Module):
    """The summed cross-entropy of a batch's labels, as a module: what data parallelism wraps must be one.

    Args:
        model: a causal language model of transformers.
        share_prefix: compute what all rows of a batch begin with only once, and padding not at all (see
            :mod:`labkit.prefix`). The loss and the gradients are the same.

    Raises:
        ConfigError: `share_prefix`, and the model has dropout, checkpoints its layers, or has attention that is not
            plain and causal: there it would not be exact.
    """

    def __init__(self, model: nn.Module, share_prefix: bool = False):
        super().__init__()
        self.model, self.share_prefix = model, share_prefix
        if share_prefix:
            refuse_unless_exact(model, drops=_has_dropout(model), checkpoints=_is_checkpointed(model))

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss (a scalar, float32, nats) and how many tokens it counts.

        The token at position t is predicted from what stands before it, so the labels are shifted by
        one against the hidden states.
        """
        logits = self._logits(batch)  # (counted tokens, vocabulary)
        targets = batch.labels.flatten()[batch.positions + 1]
        return F.cross_entropy(logits.float(), targets, reduction="sum"), targets.numel()

    def _logits(self, batch: Batch) -> Tensor:
        if not self.share_prefix or not len(batch.positions):
            return label_logits(self.model, batch.input_ids, batch.positions)
        packed = pack(batch)
        with attention_by_row(self.model, packed):
            return label_logits(self.model, packed.input_ids, packed.positions, packed.position_ids)


def label_logits(model: nn.Module, input_ids: Tensor, positions: Tensor, position_ids: Tensor | None = None) -> Tensor:
    """Logits at the given positions only, equal to those of the model's own forward.

    It is the model's own forward that runs, so whatever the model does to its logits (soft caps, scales)
    is done here too. Only its output head is handed fewer hidden states.

    Args:
        model: a causal language model of transformers.
        input_ids: shape (rows, tokens), padded on the right.
        positions: int64, shape (counted,): where in the flattened (rows · tokens) the next token is to be
            predicted.
        position_ids: int64, shape (rows, tokens): each token's place in its row, where it is not 0, 1, 2, …

    Returns:
        Shape (counted, vocabulary).
    """

    def keep_counted(_, inputs: tuple[Tensor]) -> Tensor:
        (hidden,) = inputs  # (rows, tokens, hidden size)
        return hidden.flatten(0, 1).index_select(0, positions)

    with model.get_output_embeddings().register_forward_pre_hook(keep_counted):
        return model(input_ids=input_ids, position_ids=position_ids, use_cache=False).logits


def checkpoint_layers(model: nn.Module) -> nn.Module:
    """Have `model` keep only the input of each layer, and compute the layer again on the way back.

    It saves most of the activations for one more forward pass. The state of the random numbers is kept only where
    there is dropout, which must fall on the same numbers both times.

    Args:
        model: a model of transformers; it is changed in place.

    Returns:
        The same model. It checkpoints in train mode only.

    Raises:
        ConfigError: the model has no checkpointing.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174.
    """
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ConfigError(f"{type(model).__name__} has no gradient checkpointing: train without")
    # the reentrant kind gives no gradients when a layer's input needs none, as behind a frozen embedding
    _switch(model, "enable")({"use_reentrant": False, "preserve_rng_state": _has_dropout(model)})
    return model


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block, :func:`checkpoint_layers` is at work."""
    before = _is_checkpointed(model)
    checkpoint_layers(model)
    try:
        yield
    finally:
        if not before:
            _switch(model, "disable")()


# transformers 5.2 gave it a new name, and warns of the old one
def _kind(model: nn.Module) -> str:
    return "activation" if hasattr(model, "is_activation_checkpointing") else "gradient"


def _switch(model: nn.Module, what: str) -> Callable:
    return getattr(model, f"{_kind(model)}_checkpointing_{what}")


def _is_checkpointed(model: nn.Module) -> bool:
    return getattr(model, f"is_{_kind(model)}_checkpointing", False)


def _has_dropout(model: nn.Module) -> bool:
    """Whether there is any: as a module, or as a rate that a module hands on (OPT's is ``dropout``)."""
    modules = (vars(m).get("p") for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd))
    rates = (v for m in model.modules() for name, v in vars(m).items() if "drop" in name and isinstance(v, float))
    return any(modules) or any(rates)

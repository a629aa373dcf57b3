"""One training step's forward pass: from a batch to its loss.

Logits are the widest tensor of a language model (49,152 numbers a token in SmolLM2), and most tokens of
a batch are prompt or padding, for which nobody asks the loss. So the output head is run only where there
is a label.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.text import Batch


class CompletionLoss(nn.Module):
    """The summed cross-entropy of a batch's labels, as a module: what data parallelism wraps must be one.

    Args:
        model: a causal language model of transformers.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss (a scalar, float32, nats) and how many tokens it counts.

        The token at position t is predicted from what stands before it, so the labels are shifted by
        one against the hidden states.
        """
        logits = label_logits(self.model, batch.input_ids, batch.positions)  # (counted tokens, vocabulary)
        targets = batch.labels.flatten()[batch.positions + 1]
        return F.cross_entropy(logits.float(), targets, reduction="sum"), targets.numel()


def label_logits(model: nn.Module, input_ids: Tensor, positions: Tensor) -> Tensor:
    """Logits at the given positions only, equal to those of the model's own forward.

    It is the model's own forward that runs, so whatever the model does to its logits (soft caps, scales)
    is done here too. Only its output head is handed fewer hidden states.

    Args:
        model: a causal language model of transformers.
        input_ids: shape (rows, tokens), padded on the right.
        positions: int64, shape (counted,): where in the flattened (rows · tokens) the next token is to be
            predicted.

    Returns:
        Shape (counted, vocabulary).
    """

    def keep_counted(_, inputs: tuple[Tensor]) -> Tensor:
        (hidden,) = inputs  # (rows, tokens, hidden size)
        return hidden.flatten(0, 1).index_select(0, positions)

    with model.get_output_embeddings().register_forward_pre_hook(keep_counted):
        return model(input_ids=input_ids, use_cache=False).logits


def checkpoint_layers(model: nn.Module) -> nn.Module:
    """Have `model` keep only the input of each layer, and compute the layer again on the way back.

    It saves most of the activations for one more forward pass. The state of the random numbers is kept only where
    there is dropout, which must fall on the same numbers both times.

    Args:
        model: a model of transformers; it is changed in place.

    Returns:
        The same model. It checkpoints in train mode only.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174.
    """
    drops = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    # transformers 5.2 gave the switch a new name, and warns at the old one
    switch = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    switch({"use_reentrant": False, "preserve_rng_state": drops})
    return model

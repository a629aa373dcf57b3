"""One training step's forward pass: from a batch to its loss.

Logits are the widest tensor of a language model (49,152 numbers per token in SmolLM2), and most tokens of
a batch are prompt or padding, for which nobody asks the loss. So the output head is run only where there
is a label.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from labkit.base.describing import refuse_encoder_decoder
from labkit.errors import ConfigError
from labkit.step.batch import Batch
from labkit.step.shared_prefix import attention_by_row, pack, what_hinders

_SHARED = "share_prefix is on: what all rows of a step begin with is computed once, and padding not at all"


class CompletionLoss(nn.Module):
    """The summed cross-entropy of a batch's labels, as a module: what data parallelism wraps must be one.

    Args:
        model: a causal language model of transformers.
        share_prefix: compute what all rows of a batch begin with only once, and padding not at all (see
            :mod:`labkit.step.shared_prefix`). The loss and the gradients are the same. It isn't exact where the model
            draws random numbers in training, checkpoints its layers, or mixes tokens in another way than by causal
            attention: there True is refused, and ``"auto"`` is False.

    Attributes:
        share_prefix: whether it's done.
        about_prefix: which of the two it is, in a sentence, and why not; empty where False was asked for.

    Raises:
        ConfigError: `model` has an encoder and a decoder, or `share_prefix` is True where it isn't exact.
    """

    def __init__(self, model: nn.Module, share_prefix: bool | str = False):
        super().__init__()
        refuse_encoder_decoder(model.config)
        self.model, self.about_prefix = model, ""
        hindrance = what_hinders(model, self._logits) if share_prefix else None
        if hindrance and share_prefix != "auto":
            raise ConfigError(f"share_prefix: {'. '.join(hindrance)}")
        self.share_prefix = bool(share_prefix) and not hindrance
        if share_prefix:
            self.about_prefix = f"share_prefix is off: {hindrance[0]}" if hindrance else _SHARED

    def forward(self, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss (a scalar, float32, nats) and how many tokens it counts.

        The token at position t is predicted from what stands before it, so the labels are shifted by
        one against the hidden states.
        """
        logits = self._logits(batch, self.share_prefix)  # (counted tokens, vocabulary)
        targets = batch.labels.flatten()[batch.positions + 1]
        return F.cross_entropy(logits.float(), targets, reduction="sum"), targets.numel()

    def _logits(self, batch: Batch, share_prefix: bool) -> Tensor:
        if not share_prefix or not len(batch.positions):
            return label_logits(self.model, batch.input_ids, batch.positions)
        packed = pack(batch)
        with attention_by_row(self.model, packed) as mask:
            return label_logits(
                self.model, packed.input_ids, packed.positions, position_ids=packed.position_ids, attention_mask=mask
            )


def label_logits(model: nn.Module, input_ids: Tensor, positions: Tensor, **named) -> Tensor:
    """Logits at the given positions only, equal to those of the model's own forward.

    It is the model's own forward that runs, so whatever the model does to its logits (soft caps, scales)
    is done here too. Only its output head is handed fewer hidden states.

    Args:
        model: a causal language model of transformers.
        input_ids: shape (rows, tokens), padded on the right.
        positions: int64, shape (counted,): where in the flattened (rows · tokens) the next token is to be
            predicted.
        named: what else the model's forward is to be given.

    Returns:
        Shape (counted, vocabulary).
    """

    def keep_counted(_, inputs: tuple[Tensor]) -> Tensor:
        (hidden,) = inputs  # (rows, tokens, hidden size)
        return hidden.flatten(0, 1).index_select(0, positions)

    with model.get_output_embeddings().register_forward_pre_hook(keep_counted):
        return model(**{"use_cache": False} | named, input_ids=input_ids).logits

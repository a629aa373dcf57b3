"""How far an adapter moves what the model says next: the reference is the base, and it's inside the same model."""

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.lora.inject import disable_adapter
from labkit.lora.wrapping import is_adapted
from labkit.step.batch import Batch
from labkit.step.loss import label_logits


def kl_to_silenced(model: nn.Module, batch: Batch) -> Tensor:
    """The Kullback–Leibler divergence of the adapted model from its own base, the adapter switched off:

        KL = 1/n · Σ_t Σ_v p(v | x_<t) · (log p(v | x_<t) − log q(v | x_<t))

    p is what the base says of the next token v, q what the model says with its adapter; t runs over the n positions
    whose next token is labeled. It's zero where the adapter changes nothing. Its gradient is that of the cross-entropy
    with the base's whole distribution in the place of one answer, and it reaches the adapter only.

    There's no second model in memory: the base's half is one more forward pass, without gradients.

    Args:
        model: with an adapter that can be switched off (see :func:`labkit.disable_adapter`).
        batch: of any rows; labels only say where to look.

    Returns:
        A scalar, float32, nats per token.

    Raises:
        ConfigError: the model has no such adapter, or no token of the batch has a label.

    Source: Li and Hoiem, Learning without Forgetting, 2016, arXiv 1606.09282, section 3: a model is held to what it
    answered before it was trained.
    """
    if not is_adapted(model):
        raise ConfigError("there's no adapter to switch off, so the model has no base to be compared with: inject one")
    if not len(batch.positions):
        raise ConfigError("no token of the batch has a label, so there's no place to compare at")
    with torch.no_grad(), disable_adapter(model):
        base = label_logits(model, batch.input_ids, batch.positions).float().log_softmax(-1)
    adapted = label_logits(model, batch.input_ids, batch.positions).float().log_softmax(-1)
    return (base.exp() * (base - adapted)).sum(-1).mean()

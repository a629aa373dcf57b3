"""General ability, for what fine-tuning forgets: perplexity on a text that has nothing to do with any task."""

import math
import random

import torch
import torch.nn.functional as F
from torch import nn

from labkit.base.describing import context_length
from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number
from labkit.step.batch import refuse_unknown_tokens
from labkit.step.loss import label_logits
from labkit.step.probing import refuse_unless_causal


def general_text() -> str:
    """Ordinary English prose about Python that comes with every Python: the help texts of ``pydoc``.

    The text changes a little from one Python version to the next.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


@torch.no_grad()
def perplexity(
    model: nn.Module, tokenizer, text: str | None = None, windows: int = 16, window: int = 256, seed: int = 0
) -> float:
    """exp of the mean loss per token, on windows drawn from `text`.

    Used on text that has nothing to do with the task, it shows what fine-tuning made the model forget.

    Args:
        text: :func:`general_text` when not given.
        windows: how many windows, drawn with `seed`.
        window: tokens in each; the first is only context.

    Raises:
        BaseModelError: the tokenizer has tokens that the model lacks.
        ConfigError: fewer than one window; fewer than two tokens in it, or more than the model's context; a text
            shorter than that, or no string; a model that is not causal.
    """
    refuse_unless_causal(model)
    if text is not None and not isinstance(text, str):
        raise ConfigError(f"text must be a string, got {type(text).__name__}")
    windows, window = whole_number("windows", windows), whole_number("window", window, 2)
    ids = tokenizer(general_text() if text is None else text, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < window:
        raise ConfigError(f"the text has {len(ids)} tokens, fewer than one window of {window}")
    context = context_length(model.config)
    if context is not None and window > context:
        raise ConfigError(f"a window of {window} tokens is longer than the model's context of {context:,}: take fewer")
    refuse_unknown_tokens(model, tokenizer, [ids])
    draw = random.Random(seed)
    starts = [draw.randint(0, len(ids) - window) for _ in range(windows)]
    was_training = model.training
    model.eval()
    losses = []
    try:
        for start in starts:
            batch = torch.tensor([ids[start : start + window]], device=model.device)
            positions = torch.arange(window - 1, device=model.device)
            logits = label_logits(model, batch, positions).float()
            losses.append(F.cross_entropy(logits, batch[0, 1:]).item())
    finally:
        model.train(was_training)
    return math.exp(sum(losses) / len(losses))

"""What all rows of a batch begin with, computed once: exact, and the less work the longer it is.

The rows are laid one behind another as a single long row: first what all of them begin with, then what each has of its
own, up to the token that predicts its last label. Whatever a model does token by token (embedding, norms, linear
layers) it then does once for the shared tokens, and never for padding. Attention alone looks at other tokens, and
there the rows are put side by side again, each with its copy of the shared tokens: so it is the very attention of the
plain step, and on the way back the copies' gradients add up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from labkit.base.describing import has_window, layer_kinds
from labkit.errors import ConfigError
from labkit.step.batch import Batch

_NAME = "labkit_shared_prefix"


@dataclass(frozen=True)
class PackedBatch:
    """A batch as one long row of T tokens.

    Attributes:
        input_ids, position_ids: int64, shape (1, T). A token keeps the position it has in its own row.
        positions: int64, shape (counted tokens,): where in T the next token is one that the loss counts.
        spread: int64, shape (rows, tokens): where in T each place of the batch is found. All rows share the places of
            the first for what they have in common; what stands at a padded place does not matter.
        gather: int64, shape (T,): the reverse, a place in the flattened (rows · tokens) for each of T.
    """

    input_ids: Tensor
    position_ids: Tensor
    positions: Tensor
    spread: Tensor
    gather: Tensor

    def by_row(self, packed: Tensor) -> Tensor:
        """Queries, keys or values side by side: (1, heads, T, head size) → (rows, heads, tokens, head size)."""
        # an embedding is a gather too, and of all of them the one with the quickest way back
        flat = F.embedding(self.spread, packed[0].transpose(0, 1).flatten(1))
        return flat.unflatten(-1, (packed.shape[1], packed.shape[3])).transpose(1, 2)

    def packed(self, by_row: Tensor) -> Tensor:
        """What attention found, in one row again: (rows, tokens, heads, head size) → (1, T, heads, head size)."""
        flat = F.embedding(self.gather, by_row.flatten(0, 1).flatten(1))
        return flat.unflatten(-1, by_row.shape[2:])[None]


def shared_tokens(batch: Batch) -> int:
    """How many tokens all rows of the batch begin with, up to the first that predicts one the loss counts."""
    tokens = batch.input_ids.shape[1]
    alike = (batch.input_ids == batch.input_ids[0]).all(dim=0).cumprod(dim=0).sum()
    return int(torch.minimum(alike, (batch.positions % tokens).min()))


def pack(batch: Batch) -> PackedBatch:
    """The batch as one long row. The loss must count at least one of its tokens."""
    shared, (rows, tokens) = shared_tokens(batch), batch.input_ids.shape
    row, place = batch.positions // tokens, batch.positions % tokens
    # what comes after the token that predicts a row's last label changes no loss
    ends = row.new_zeros(rows).scatter_reduce(0, row, place + 1, "amax")[:, None]  # (rows, 1)
    tokens = int(ends.max())
    places = torch.arange(tokens, device=row.device)
    kept = (places >= shared) & (places < ends)
    kept[0, :shared] = True
    spread = (kept.flatten().cumsum(dim=0) - 1).clamp(min=0).view(rows, tokens)
    spread[:, :shared] = places[:shared]
    gather = kept.flatten().nonzero().squeeze(1)
    return PackedBatch(
        batch.input_ids[:, :tokens].flatten()[gather][None],
        (gather % tokens)[None],
        spread[row, place],
        spread,
        gather,
    )


@contextmanager
def attention_by_row(model: nn.Module, packed: PackedBatch) -> Iterator[None]:
    """Inside the ``with`` block, the attention of `model` takes the tokens it is given for those of `packed`."""
    config, before = model.config, model.config._attn_implementation
    plain = ALL_ATTENTION_FUNCTIONS[before]

    def attend(module, query, key, value, attention_mask, **named):
        found, weights = plain(module, *map(packed.by_row, (query, key, value)), attention_mask, **named)
        return packed.packed(found), weights

    # transformers makes no mask for an attention that it does not know, and a causal one without padding needs none
    ALL_ATTENTION_FUNCTIONS[_NAME] = attend
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[_NAME]


def refuse_unless_exact(model: nn.Module, *, drops: bool, checkpoints: bool) -> None:
    """Raise ConfigError where a step with a shared prefix would not be the plain step.

    Args:
        model: a causal language model of transformers.
        drops: whether there is dropout in it.
        checkpoints: whether it computes its layers again on the way back.
    """
    config = model.config
    kinds = {"full_attention", *(layer_kinds(config) or ())}
    plain = config._attn_implementation == "sdpa" and kinds == {"full_attention"}
    reason = None
    if drops:
        reason = "dropout would fall on the prefix of each row differently. Set lora_dropout and all other dropout to 0"
    elif checkpoints:
        reason = "gradient checkpointing would compute the layers again without it. Choose one of the two"
    elif not plain or has_window(config) or not getattr(model, "_supports_attention_backend", False):
        reason = (
            'it is made for plain causal attention in transformers\' "sdpa" implementation, and that of this '
            f"{config.model_type!r} is not such. Train without it"
        )
    if reason:
        raise ConfigError(f"share_prefix: {reason}")

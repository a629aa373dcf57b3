"""What all rows of a batch begin with, computed once: exact, and the less work the longer it is.

The rows are laid one behind another as a single long row: first what all of them begin with, then what each has of its
own, up to the token that predicts its last label. Whatever a model does token by token (embedding, norms, linear
layers) it then does once for the shared tokens, and never for padding. Attention alone looks at other tokens, and
there the rows are put side by side again, each with its copy of the shared tokens: so it is the attention of the plain
step, and on the way back the copies' gradients add up.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from labkit.base.describing import layer_kinds, text_config
from labkit.errors import ConfigError
from labkit.step.batch import Batch
from labkit.step.gradient_checkpointing import is_checkpointed
from labkit.step.probing import alike, draws_random_numbers, few_tokens, in_train_mode

_NAME = "labkit_shared_prefix"
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
_NOT_PLAIN = (
    'it works only where transformers computes causal attention itself ("sdpa" or "eager"), and this {!r} model '
    "computes its own"
)


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
    begin_alike = (batch.input_ids == batch.input_ids[0]).all(dim=0).cumprod(dim=0).sum()
    return int(torch.minimum(begin_alike, (batch.positions % tokens).min()))


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
def attention_by_row(model: nn.Module, packed: PackedBatch) -> Iterator[Tensor]:
    """Inside the ``with`` block, the attention of `model` takes the tokens it is given for those of `packed`.

    What the block is given has to be passed as the attention mask: all ones, in the shape of the rows. From that
    transformers makes the masks that the rows would have, windows and chunks included.
    """
    config = text_config(model.config)
    before, (rows, tokens) = config._attn_implementation, packed.spread.shape
    make_mask = ALL_MASK_ATTENTION_FUNCTIONS[before]
    made = []  # the masks of this step

    def mask_of_rows(**named):
        sizes = {"batch_size": rows, "q_length": tokens, "kv_length": tokens, "attention_mask": None}
        made.append(make_mask(**named | sizes))
        return made[-1]

    def attend(module, query, key, value, attention_mask, **named):
        if attention_mask is not None and not any(attention_mask is mask for mask in made):
            # it made one of its own, for a single long row
            raise ConfigError(f"{_NOT_PLAIN.format(config.model_type)}. Train without share_prefix")
        # transformers has one "sdpa" for all; what is "eager" stands in each architecture's module
        plain = ALL_ATTENTION_FUNCTIONS.get(before) or sys.modules[type(module).__module__].eager_attention_forward
        found, weights = plain(module, *map(packed.by_row, (query, key, value)), attention_mask, **named)
        return packed.packed(found), weights

    # the second is looked up in the class, not in its instance
    ALL_ATTENTION_FUNCTIONS[_NAME], config._attn_implementation = attend, _NAME
    try:
        with patch.dict(type(ALL_MASK_ATTENTION_FUNCTIONS)._global_mapping, {_NAME: mask_of_rows}):
            yield torch.ones_like(packed.spread)
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[_NAME]


def what_hinders(model: nn.Module, logits: Callable[[Batch, bool], Tensor]) -> tuple[str, str] | None:
    """Why a step with a shared prefix would not be the plain step, and the remedy; None where it would.

    Args:
        model: a causal language model of transformers.
        logits: those of a batch, where it has labels; with a shared prefix, or without. Both are tried on a few tokens.
    """
    if is_checkpointed(model):
        return "gradient checkpointing would compute the layers again without it", "Choose one of the two"
    if draws_random_numbers(model):
        return (
            "this model draws random numbers in training (dropout, or a router's jitter), and with a shared prefix "
            "they'd fall differently on each row's copy of it",
            "Set all dropout and jitter to 0, or train without share_prefix",
        )
    if not (has_plain_attention(model) and _is_exact(model, logits)):
        return _NOT_PLAIN.format(text_config(model.config).model_type), "Train without share_prefix"
    return None


def has_plain_attention(model: nn.Module) -> bool:
    """Whether nothing speaks against :func:`attention_by_row` that a few tokens wouldn't show."""
    config = text_config(model.config)
    return (
        config._attn_implementation in ("sdpa", "eager")
        and getattr(model, "_supports_attention_backend", False)
        and {*(layer_kinds(config) or ())} <= _ATTENTION
        # Llama 4's factor by position grows after 8,192 tokens of the row that it is handed
        and not getattr(config, "attn_temperature_tuning", False)
    )


def _is_exact(model: nn.Module, logits: Callable[[Batch, bool], Tensor]) -> bool:
    batch = few_tokens(model)
    with in_train_mode(model):
        plain = logits(batch, False)
        try:
            return alike(logits(batch, True), plain)
        except Exception:  # whatever a model says that was made for something else
            return False

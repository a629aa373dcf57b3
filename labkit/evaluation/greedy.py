"""The likeliest token, again and again, for many prompts at a time, without work that changes no answer.

The answers are those of transformers' `generate`, sooner: what all prompts begin with is computed once and padding not
at all (see :mod:`labkit.step.shared_prefix`), the cache has room for the tokens to come instead of being copied for
each of them, a row whose answer has ended leaves the batch, and an adapter on a float32 base is merged meanwhile.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from labkit.lora.merging import is_mergeable, merged_meanwhile
from labkit.lora.wrapping import adapted_layers
from labkit.simulation.memory_check import free_bytes
from labkit.step.batch import Batch, Example, collate
from labkit.step.loss import label_logits
from labkit.step.probing import alike, few_tokens
from labkit.step.shared_prefix import PackedBatch, attention_by_row, has_plain_attention, pack

_ROOM = 64  # tokens for which a cache is made longer at a time
_MERGE = 16  # prompts from which merging and unmerging takes less time than it saves
_LEAVE = 8  # of so many rows, one has to have ended before its place is given up: that copies what the others keep


def decodes_alike(model: nn.Module) -> bool:
    """Whether `model`, in eval mode, gives the logits here that its own forward gives, tried on a few tokens."""
    if not has_plain_attention(model):
        return False
    rows = few_tokens(model)
    ends = rows.positions.new_tensor([int(places.nonzero().max()) for places in rows.labels >= 0])  # the last of each
    every = torch.arange(len(ends), device=ends.device)
    try:
        wanted = model(input_ids=rows.input_ids, use_cache=False).logits
        begun = _Begun(model, [ids[:end] for ids, end in zip(rows.input_ids.tolist(), ends.tolist())], 1)
        first, second = begun.logits, begun.after(rows.input_ids[every, ends])
        return alike(torch.stack([first, second]), torch.stack([wanted[every, ends - 1], wanted[every, ends]]))
    except Exception:  # whatever a model says that was made for something else
        return False


def merged_where_it_pays(model: nn.Module, prompts: int) -> AbstractContextManager[None]:
    """Merges the adapters of `model` inside the ``with`` block, or does nothing.

    It merges where only float32's rounding changes, where that takes less time than it saves on so many prompts, and
    where there's memory for the weights twice.
    """
    layers = [layer for _, layer in adapted_layers(model)]
    weights = [layer.base_layer.weight for layer in layers if type(layer.base_layer) is nn.Linear and layer.enabled]
    exact = len(weights) == len(layers) and all(weight.dtype == torch.float32 for weight in weights)
    if not layers or not exact or prompts < _MERGE or any(layer.merged for layer in layers) or not is_mergeable(model):
        return nullcontext()
    room = 2 * sum(weight.nbytes for weight in weights) < free_bytes(weights[0].device)
    return merged_meanwhile(model) if room else nullcontext()


def greedy(model: nn.Module, prompts: Sequence[list[int]], room: int, ends: Collection[int]) -> list[list[int]]:
    """The token ids of the greedy answer to each prompt, the one that ends it included.

    Args:
        model: in eval mode, and one of which :func:`decodes_alike` is true.
        prompts: token ids.
        room: how many tokens an answer may have.
        ends: the ids that end an answer.
    """
    begun, answers = _Begun(model, prompts, room), [[] for _ in prompts]
    rows, logits = list(range(len(prompts))), begun.logits  # which prompts are still in the batch
    each, ended, unread = _tokens_per_look(logits.device), set(), []
    for left in reversed(range(room)):
        likeliest = logits.argmax(-1)  # (rows,)
        unread.append(likeliest)
        if len(unread) == each or not left:
            for row, tokens in zip(rows, torch.stack(unread, dim=1).tolist()):
                for token in tokens:
                    if row not in ended:
                        answers[row].append(token)
                    if token in ends:
                        ended.add(row)
            unread.clear()
            going_on = [place for place, row in enumerate(rows) if row not in ended]
            if not going_on or not left:
                break
            if len(rows) - len(going_on) >= len(rows) / _LEAVE:
                rows = [rows[place] for place in going_on]
                likeliest = likeliest[begun.keep(going_on)]
        logits = begun.after(likeliest)
    return answers


def _tokens_per_look(device: torch.device) -> int:
    """After how many tokens answers are read: a GPU stands still for each look."""
    return 1 if device.type == "cpu" else 8


class _Begun:
    """Answers on their way: what the model has seen of each row.

    Args:
        model, prompts, room: as for :func:`greedy`.

    Attributes:
        logits: after the prompts, shape (rows, vocabulary).
    """

    def __init__(self, model: nn.Module, prompts: Sequence[list[int]], room: int):
        batch = collate([Example(ids, len(ids)) for ids in prompts], 0)  # what stands at a padded place doesn't matter
        lengths = torch.tensor([[len(ids)] for ids in prompts])
        rows, self._seen = batch.input_ids.shape
        last = torch.arange(rows) * self._seen + lengths[:, 0] - 1
        packed = pack(Batch(batch.input_ids, batch.labels, last).to(model.device))
        # in the cache each row ends where the longest does, so that the next token of all has the same place
        places = torch.arange(self._seen + room) - (self._seen - lengths)  # (rows, tokens), below 0 for padding
        self._mask, self._positions = (places >= 0).long().to(model.device), lengths.to(model.device)
        aligned = packed.spread.gather(1, places[:, : self._seen].clamp(min=0).to(model.device))
        self._cache = Cache(layer_class_to_replicate=partial(_LayerWithRoom, replace(packed, spread=aligned)))
        self._model = model
        with attention_by_row(model, packed) as mask:
            named = {"position_ids": packed.position_ids, "attention_mask": mask, "past_key_values": self._cache}
            self.logits = label_logits(model, packed.input_ids, packed.positions, **named, use_cache=True)

    def after(self, tokens: Tensor) -> Tensor:
        """Logits after one more token for each row: (rows,) → (rows, vocabulary)."""
        self._seen += 1
        named = {"position_ids": self._positions, "attention_mask": self._mask[:, : self._seen]}
        self._positions = self._positions + 1
        found = self._model(input_ids=tokens[:, None], **named, past_key_values=self._cache, use_cache=True)
        return found.logits[:, -1]

    def keep(self, places: list[int]) -> Tensor:
        """Go on with the rows at `places` only. Returns these as a tensor."""
        kept = torch.tensor(places, device=self._mask.device)
        self._cache.batch_select_indices(kept)
        self._mask, self._positions = self._mask[kept], self._positions[kept]
        return kept


class _LayerWithRoom(DynamicLayer):
    """Keys and values of a layer, in tensors that are longer than what's in them: (rows, heads, room, head size).

    Args:
        prompts: how the first keys and values, those of the packed prompts, are laid side by side.
    """

    def __init__(self, prompts: PackedBatch):
        super().__init__()
        self._prompts, self._length = prompts, 0

    def get_seq_length(self) -> int:
        return self._length

    def update(self, key_states: Tensor, value_states: Tensor, *_, **__) -> tuple[Tensor, Tensor]:
        both, start = (key_states, value_states), self._length
        if not start:
            self.keys, self.values = (_longer(self._prompts.by_row(states)) for states in both)
            self._length, self.is_initialized = self._prompts.spread.shape[1], True
            return both  # attention itself lays the prompts side by side
        if start == self.keys.shape[2]:
            self.keys, self.values = _longer(self.keys), _longer(self.values)
        self._length += 1
        for kept, states in zip((self.keys, self.values), both):
            kept[:, :, start] = states[:, :, 0]
        return self.keys[:, :, : self._length], self.values[:, :, : self._length]


def _longer(states: Tensor) -> Tensor:
    rows, heads, _, size = states.shape
    return torch.cat([states, states.new_zeros(rows, heads, _ROOM, size)], dim=2)

"""Tokens that nobody wrote, before those of a row: what their two methods, prefix and prompt tuning, have in common.

They're put in where the model's decoder is called, so that all else stays as it is: training, answers, scores. What
comes out has as many tokens as were given. A row's own tokens come p places later; with a cache, the virtual tokens
are in it from the first call on.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from labkit.base.describing import context_length, layer_count, refuse_encoder_decoder, text_config
from labkit.errors import ConfigError
from labkit.family.method import refuse_below_one
from labkit.family.peft_folders import InPeftsFiles
from labkit.linear import device_of

Given = dict[str, Any]  # what the decoder's forward is given


class VirtualTokens(nn.Module):
    """What learns, and the hook that puts it before the tokens.

    Args:
        count: p, how many there are.
    """

    def __init__(self, count: int):
        super().__init__()
        self.count = count

    def put_in(self, decoder: nn.Module, args: tuple, given: Given) -> tuple[tuple, Given]:
        """The forward pre-hook of `decoder`."""
        if args:
            given = {"input_ids": args[0], **given}
        own = given["inputs_embeds"] if given.get("input_ids") is None else given["input_ids"]
        rows, tokens = own.shape[:2]
        cache = given.get("past_key_values")
        seen = 0 if cache is None else cache.get_seq_length()
        longest = context_length(decoder.config)
        if longest is not None and (all_of_them := (seen or self.count) + tokens) > longest:
            raise ConfigError(
                f"with {self.count} virtual tokens there would be {all_of_them:,}, and the model's context ends at "
                f"{longest:,}. Take shorter rows"
            )
        given = dict(given)
        if (mask := given.get("attention_mask")) is not None:
            if not isinstance(mask, Tensor) or mask.ndim != 2:
                raise ConfigError("virtual tokens need an attention mask of shape (rows, tokens), or none")
            given["attention_mask"] = torch.cat([mask.new_ones(rows, self.count), mask], dim=1)
        if (positions := given.get("position_ids")) is not None:
            given["position_ids"] = positions + self.count
        return (), given if seen else self.begun(decoder, given, rows)

    @abstractmethod
    def begun(self, decoder: nn.Module, given: Given, rows: int) -> Given:
        """`given` with the virtual tokens, before the first of the rows' own."""


@dataclass(frozen=True)
class VirtualTokenMethod(InPeftsFiles):
    """A method that trains virtual tokens.

    Args:
        num_virtual_tokens: p, how many.
        start: what they start as: one of `starts`, or ids of tokens.
    """

    num_virtual_tokens: int = 20
    start: str | tuple[int, ...] = "normal"

    starts: ClassVar[tuple[str, ...]] = ("normal",)
    fixed: ClassVar[dict] = {"num_transformer_submodules": 1}
    said: ClassVar[frozenset[str]] = frozenset({"token_dim", "num_layers", "num_attention_heads"})
    own: ClassVar[frozenset[str]] = frozenset({"start"})

    def __post_init__(self):
        refuse_below_one(self, "num_virtual_tokens")
        if isinstance(self.start, (list, tuple)):
            object.__setattr__(self, "start", tuple(self.start))
        elif self.start not in self.starts:
            words = ", ".join(f'"{word}"' for word in self.starts)
            raise ConfigError(f"start must be {words} or ids of tokens, got {self.start!r}")

    def _ids(self, model: nn.Module, ids: tuple[int, ...]) -> Tensor:
        """`ids`, repeated or cut to p, shape (1, p)."""
        vocabulary = model.get_input_embeddings().num_embeddings
        if not ids or not all(type(id_) is int and 0 <= id_ < vocabulary for id_ in ids):
            raise ConfigError(f"start must name tokens of the model's {vocabulary:,}, got {ids!r:.80}")
        repeated = (ids * self.num_virtual_tokens)[: self.num_virtual_tokens]
        return torch.tensor([repeated], device=device_of(model.get_input_embeddings()))


def refuse_unless_decoder(model: nn.Module) -> None:
    """ConfigError where `model` has no decoder that virtual tokens could be put into."""
    refuse_encoder_decoder(model.config)
    if model.base_model is model:
        raise ConfigError(f"{type(model).__name__} has no decoder of its own below an output head")


def heads_of(model: nn.Module) -> tuple[int, int, int]:
    """How many layers `model` has, how many heads of keys and values, and how large each is."""
    config = text_config(model.config)
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return layer_count(config), getattr(config, "num_key_value_heads", None) or heads, size

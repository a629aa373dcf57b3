"""Prefix tuning: in each layer, a few keys and values before those of the prompt learn, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from labkit.base.describing import layer_kinds
from labkit.errors import ConfigError
from labkit.family.method import Shapes, like, refuse_below_one
from labkit.family.virtual_tokens import Given, VirtualTokenMethod, VirtualTokens, heads_of, refuse_unless_decoder
from labkit.linear import device_of


class PrefixEncoder(VirtualTokens):
    """Keys and values of p tokens for each layer, which are in the cache before the rows' own.

    Attributes:
        embedding: of shape (p, layers · 2 · heads · head size): keys and values themselves; or of shape (p, heads ·
            head size), where `transform` makes them.
        transform: the paper's MLP, or None.
    """

    def __init__(self, embedding: nn.Parameter, transform: nn.Module | None, heads: tuple[int, int, int]):
        super().__init__(len(embedding))
        self.embedding, self.transform, self.heads = embedding, transform, heads

    def flat(self) -> Tensor:
        """Shape (p, layers · 2 · heads · head size)."""
        return self.embedding if self.transform is None else self.transform(self.embedding)

    def begun(self, decoder: nn.Module, given: Given, rows: int) -> Given:
        if decoder.training and any(getattr(module, "gradient_checkpointing", False) for module in decoder.modules()):
            raise ConfigError(
                "prefix tuning can't be trained with gradient checkpointing, which drops what's in a cache"
            )
        layers, heads, size = self.heads
        dtype = decoder.get_input_embeddings().weight.dtype
        both = self.flat().to(dtype).view(self.count, layers, 2, heads, size).permute(1, 2, 3, 0, 4)
        if given.get("past_key_values") is None:
            given["past_key_values"] = DynamicCache()
        for layer, (keys, values) in enumerate(both):  # each of shape (heads, p, size)
            given["past_key_values"].update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        return given


@dataclass(frozen=True)
class PrefixTuning(VirtualTokenMethod):
    """In each layer, p keys and values that no token has, before those of each row:

        attention(Q, [P_K; K], [P_V; V]),    P_K and P_V of shape (p, heads of keys · head size)

    They're in the cache before the first token, which then has position p; P_K are keys that need no turn by position
    any more. With k = heads of keys · head size, it trains p · layers · 2 · k numbers.

    With `encoder_hidden_size` h, the paper's way to steadier training, an MLP makes them while training, row by row of
    a smaller matrix of embeddings P' of shape (p, k): P[i] = MLP(P'[i]), one hidden layer with tanh. That's
    p · k + k · h + h + (h + 1) · layers · 2 · k numbers. What's saved is what the MLP made, which is needed no more
    then. Without, which is PEFT's default and ours, far fewer numbers train.

    The model doesn't start as its base, not even with zeros: a key of zeros still gets attention. It can't be merged,
    and each answer attends to p tokens more. PEFT's file has all keys and values as one matrix.

    Args:
        num_virtual_tokens: p; the paper has 10 for tables and 200 for summaries.
        encoder_hidden_size: h; None trains keys and values themselves.
        start: "normal" for normal numbers of deviation 1, as PEFT has it; "zero"; or the ids of tokens, repeated or cut
            to p, whose keys and values the model itself computes. The paper found that best where rows are few (its
            section 7.4). With an MLP, "normal" starts the embeddings so, and "zero" the MLP's last layer.

    Raises:
        ConfigError: p or h below 1; a start that isn't known, or ids with an MLP; a model whose layers keep keys and
            values in more than one way, or don't keep as many as its config says.

    Source: Li, Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation, 2021, arXiv 2101.00190.
    """

    encoder_hidden_size: int | None = None

    starts: ClassVar[tuple[str, ...]] = ("normal", "zero")
    apart: ClassVar[str] = "prefix tuning can't be merged: its keys and values belong to no weight"
    peft_type: ClassVar[str] = "PREFIX_TUNING"
    said: ClassVar[frozenset[str]] = VirtualTokenMethod.said | {
        "init_weights",
        "prefix_projection",
        "encoder_hidden_size",
    }
    own: ClassVar[frozenset[str]] = frozenset({"start", "encoder_hidden_size"})

    def __post_init__(self):
        super().__post_init__()
        if self.encoder_hidden_size is not None:
            refuse_below_one(self, "encoder_hidden_size")
        if not isinstance(self.start, str) and self.encoder_hidden_size is not None:
            raise ConfigError("with an MLP, keys and values can't start as those of tokens: leave one of the two")

    def shapes(self, model: nn.Module) -> Shapes:
        refuse_unless_decoder(model)
        if {*(layer_kinds(model.config) or ())} - {"full_attention"}:
            raise ConfigError(f"{type(model).__name__} keeps keys and values in more than one way: use prompt tuning")
        layers, heads, size = heads_of(model)
        p, h, k = self.num_virtual_tokens, self.encoder_hidden_size, heads * size
        if h is None:
            return {"prefix_encoder.embedding": (p, layers * 2 * k)}
        mlp = {"0.weight": (h, k), "0.bias": (h,), "2.weight": (layers * 2 * k, h), "2.bias": (layers * 2 * k,)}
        named = {f"prefix_encoder.transform.{name}": shape for name, shape in mlp.items()}
        return {"prefix_encoder.embedding": (p, k)} | named

    def _put_on(self, model: nn.Module) -> None:
        words, heads = model.get_input_embeddings(), heads_of(model)
        known = self._known(model)
        if known.shape[1:] != (heads[0], 2, *heads[1:]):
            raise ConfigError(f"{type(model).__name__} doesn't keep the keys and values that its config says")
        p, transform, k = self.num_virtual_tokens, None, heads[1] * heads[2]
        wide = heads[0] * 2 * k
        if self.encoder_hidden_size is not None:
            P = torch.randn(p, k)
            parts = nn.Linear(k, self.encoder_hidden_size), nn.Tanh(), nn.Linear(self.encoder_hidden_size, wide)
            transform = nn.Sequential(*parts).to(device_of(words))
            if self.start == "zero":
                nn.init.zeros_(transform[-1].weight), nn.init.zeros_(transform[-1].bias)
        elif isinstance(self.start, str):
            P = torch.randn(p, wide) if self.start == "normal" else torch.zeros(p, wide)
        else:
            P = known.flatten(1)
        model.prefix_encoder = PrefixEncoder(like(words, P), transform, heads)
        model.base_model.register_forward_pre_hook(model.prefix_encoder.put_in, with_kwargs=True)

    @torch.no_grad()
    def _known(self, model: nn.Module) -> Tensor:
        """Keys and values of the tokens that training starts from, shape (p, layers, 2, heads, head size)."""
        ids = (0,) if isinstance(self.start, str) else self.start
        cache = model.base_model(input_ids=self._ids(model, ids), use_cache=True).past_key_values
        both = [torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers]  # each (2, heads, p, size)
        return torch.stack(both).permute(3, 0, 1, 2, 4)

    def _fields(self, model: nn.Module) -> dict[str, object]:
        layers, heads, size = heads_of(model)
        more = {"token_dim": heads * size, "num_layers": layers, "num_attention_heads": heads}
        return super()._fields(model) | more | {"prefix_projection": False}

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        return {"prompt_embeddings": model.prefix_encoder.flat()}

    def _shapes_in_file(self, model: nn.Module) -> Shapes:
        layers, heads, size = heads_of(model)
        return {"prompt_embeddings": (self.num_virtual_tokens, layers * 2 * heads * size)}

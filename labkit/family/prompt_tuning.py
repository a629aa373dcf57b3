"""Prompt tuning: a few embeddings before the prompt learn, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from labkit.family.method import Shapes, like
from labkit.family.virtual_tokens import Given, VirtualTokenMethod, VirtualTokens, heads_of, refuse_unless_decoder


class PromptEncoder(VirtualTokens):
    """Embeddings P, shape (p, hidden size), before those of the rows; what's answered to them is cut off again."""

    def __init__(self, embedding: nn.Parameter):
        super().__init__(len(embedding))
        self.embedding = embedding
        self._added = False

    def begun(self, decoder: nn.Module, given: Given, rows: int) -> Given:
        embeds = given.get("inputs_embeds")
        if embeds is None:
            embeds = decoder.get_input_embeddings()(given.pop("input_ids"))
        given["input_ids"] = None
        P = self.embedding.to(embeds.dtype).expand(rows, -1, -1)
        given["inputs_embeds"] = torch.cat([P, embeds], dim=1)
        if (positions := given.get("position_ids")) is not None:
            own = torch.arange(self.count, device=positions.device).expand(len(positions), -1)
            given["position_ids"] = torch.cat([own, positions], dim=1)
        self._added = True
        return given

    def cut_off(self, decoder: nn.Module, args: tuple, output: dict[str, Tensor]) -> None:
        """The forward hook of `decoder`."""
        if self._added:
            output["last_hidden_state"] = output["last_hidden_state"][:, self.count :]
            self._added = False


@dataclass(frozen=True)
class PromptTuning(VirtualTokenMethod):
    """p embeddings that no token has, before those of each row:

        X' = [P; X],    P of shape (p, hidden size)

    The model reads them as it reads words, at positions 0 to p − 1. It trains p · hidden size numbers (on the course's
    base, fewer than any other method here at its defaults), and wants high rates: the paper's is 0.3, with another
    optimizer. The model doesn't start as its base: even P from words is a text that wasn't there. It can't be merged,
    and each answer has p tokens more to read. PEFT's file has P alone.

    Where a batch is padded on the left and positions are given, each row's own tokens follow P directly, as if it were
    alone; PEFT counts padding in.

    Args:
        num_virtual_tokens: p; 100 in the paper, which found little more to gain beyond 20.
        start: "vocabulary" for the embeddings of random tokens, of all there are (the paper's are of the 5,000 most
            common); the ids of tokens, repeated or cut to p, whose embeddings P starts as (the paper's best: those of
            the labels); or "normal", PEFT's default: normal numbers of deviation 1.

    Raises:
        ConfigError: p < 1; a start that isn't known.

    Source: Lester, Al-Rfou, Constant, The Power of Scale for Parameter-Efficient Prompt Tuning, 2021,
    arXiv 2104.08691.
    """

    start: str | tuple[int, ...] = "vocabulary"

    starts: ClassVar[tuple[str, ...]] = ("normal", "vocabulary")
    apart: ClassVar[str] = "prompt tuning can't be merged: its embeddings belong to no weight"
    peft_type: ClassVar[str] = "PROMPT_TUNING"
    said: ClassVar[frozenset[str]] = VirtualTokenMethod.said | {
        *("prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs")
    }

    def shapes(self, model: nn.Module) -> Shapes:
        refuse_unless_decoder(model)
        return {"prompt_encoder.embedding": (self.num_virtual_tokens, model.get_input_embeddings().embedding_dim)}

    def _put_on(self, model: nn.Module) -> None:
        words = model.get_input_embeddings()
        if self.start == "normal":
            P = torch.randn(self.num_virtual_tokens, words.embedding_dim)
        else:
            random = self.start == "vocabulary"
            ids = torch.randint(0, words.num_embeddings, (self.num_virtual_tokens,)).tolist() if random else self.start
            P = words(self._ids(model, tuple(ids))).detach()[0].clone()
        encoder = model.prompt_encoder = PromptEncoder(like(words, P))
        model.base_model.register_forward_pre_hook(encoder.put_in, with_kwargs=True)
        model.base_model.register_forward_hook(encoder.cut_off)

    def _fields(self, model: nn.Module) -> dict[str, object]:
        layers, _, _ = heads_of(model)
        width, heads = model.get_input_embeddings().embedding_dim, model.config.num_attention_heads
        more = {"token_dim": width, "num_layers": layers, "num_attention_heads": heads, "prompt_tuning_init": "RANDOM"}
        return super()._fields(model) | more

    def _state(self, model: nn.Module) -> dict[str, Tensor]:
        return {"prompt_embeddings": model.prompt_encoder.embedding}

    def _shapes_in_file(self, model: nn.Module) -> Shapes:
        (shape,) = self.shapes(model).values()
        return {"prompt_embeddings": shape}

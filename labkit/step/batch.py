"""From rows to token ids: the chat template, the labels, the batch.

The loss counts the completion and the template's own end of turn, nothing else. Which tokens those are is known by
position, never by looking for the padding id: in this model padding and end-of-turn are the same id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.base.chat_format import answered_text, chat_ids, frame_of, prompt_text
from labkit.errors import BaseModelError, DataError, showable

IGNORED = -100  # the label of a token that the loss does not count


@dataclass(frozen=True)
class Example:
    """One encoded row.

    Attributes:
        input_ids: prompt and completion as token ids.
        prompt_length: how many of them are the prompt; the loss counts the rest.
    """

    input_ids: list[int]
    prompt_length: int


@dataclass(frozen=True)
class Batch:
    """Encoded rows side by side, padded on the right.

    With causal attention no token ever looks to its right, so right padding needs no attention mask.

    Attributes:
        input_ids: int64, shape (rows, tokens).
        labels: int64, shape (rows, tokens); :data:`IGNORED` where the loss does not count.
        positions: int64, shape (counted tokens,): where, in the flattened (rows · tokens), the next token is
            one that the loss counts. Found from the labels when not given. It is found here and not in the
            model's step, because only here the labels are sure to have values: in a simulated step they have none.
    """

    input_ids: Tensor
    labels: Tensor
    positions: Tensor | None = None

    def __post_init__(self):
        if self.positions is None:
            rows, tokens = (self.labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
            object.__setattr__(self, "positions", rows * self.labels.shape[1] + tokens)

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.input_ids.to(device), self.labels.to(device), self.positions.to(device))


def encode_prompt(tokenizer, prompt: str, system: str) -> list[int]:
    """The token ids up to where the model is to answer, through the model's own chat template.

    The system prompt is always given: without one, this model's template slips in its own. A control token that is
    written out in either, such as ``<|im_end|>``, reaches the model as text and opens no turn.

    Raises:
        BaseModelError: the chat template can't show a question and its answer.
    """
    return chat_ids(tokenizer, prompt_text(tokenizer, prompt, system))


def encode(tokenizer, row: Mapping, system: str, max_length: int | None = None) -> Example:
    """One row as token ids: system prompt, user's prompt, completion, end of turn.

    The ids are those of the whole conversation as the chat template renders it, up to the token that ends the answer.
    Where a token would reach across from the prompt into the completion, each is encoded by itself, because that's how
    the model will be asked.

    Args:
        tokenizer: of the base model, with a chat template.
        row: ``prompt`` and ``completion``; a ``system`` of its own goes before `system`. Control tokens written out in
            them are text.
        system: the task's system prompt.
        max_length: the longest row allowed, in tokens: the model's context.

    Raises:
        BaseModelError: the chat template can't show a question and its answer; neither it nor the tokenizer has a
            token that ends an answer.
        DataError: prompt, completion or a system prompt of its own isn't a string; the row is longer than
            `max_length` tokens; nothing is ever cut off silently.
    """
    source = row.get("source") or "row"
    for name in ("prompt", "completion", "system"):
        if not isinstance(row.get(name), str) and (name != "system" or row.get(name) is not None):
            raise DataError(f'"{name}" isn\'t a string', "Every row needs prompt and completion, both text", source)
    frame, said = frame_of(tokenizer), (row["prompt"], row.get("system") or system)
    if frame.end is None:
        raise BaseModelError(
            "neither the chat template nor the tokenizer has a token that ends an answer, so a model could never learn "
            "where to stop. Give the tokenizer one (tokenizer.eos_token) that the model knows"
        )
    asked, answer = answered_text(tokenizer, *said, row["completion"])
    prompt, ids = chat_ids(tokenizer, asked), chat_ids(tokenizer, asked + answer)
    if ids[: len(prompt)] != prompt:
        ids = prompt + chat_ids(tokenizer, answer, continues=True)
    if not frame.ending:
        ids = [*ids, frame.end]
    if max_length is not None and len(ids) > max_length:
        raise DataError(
            f"the row has {len(ids):,} tokens, but the model's context ends at {max_length:,}",
            "Shorten the row or split it in two",
            source,
        )
    return Example(ids, len(prompt))


def collate(examples: Sequence[Example], pad_token_id: int) -> Batch:
    """Examples as one batch, as long as the longest of them."""
    length = max(len(example.input_ids) for example in examples)
    input_ids = torch.full((len(examples), length), pad_token_id)
    labels = torch.full((len(examples), length), IGNORED)
    for i, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[i, : len(ids)] = ids
        labels[i, example.prompt_length : len(ids)] = ids[example.prompt_length :]
    return Batch(input_ids, labels)


def refuse_unknown_tokens(model: nn.Module, tokenizer, encoded: Iterable[Sequence[int]]) -> None:
    """BaseModelError where the model's embedding has no row for a token of `encoded`."""
    rows = _embedding_rows(model)
    highest = max((max(ids) for ids in encoded if ids), default=0)
    if highest >= rows:
        raise BaseModelError(
            f"the tokenizer gives {tokenizer.convert_ids_to_tokens(highest)!r} the id {highest:,}, but the model's "
            f"embedding has {rows:,} rows. Take the tokenizer that belongs to this model, or make room in the model: "
            "model.resize_token_embeddings(len(tokenizer))"
        )


def padding_id(model: nn.Module, tokenizer) -> int:
    """What to pad with: the tokenizer's own padding, or any token where it has none that the model knows. Nothing looks
    at padding, so it makes no difference to a result."""
    own = tokenizer.pad_token_id
    return own if own is not None and own < _embedding_rows(model) else 0


def _embedding_rows(model: nn.Module) -> int:
    return model.get_input_embeddings().weight.shape[0]


def render_masked(tokenizer, example: Example) -> str:
    """The example as text, with the part that the loss does not count in grey (ANSI colours)."""
    masked = showable(tokenizer.decode(example.input_ids[: example.prompt_length]))
    counted = showable(tokenizer.decode(example.input_ids[example.prompt_length :]))
    return f"\x1b[38;5;245m{masked}\x1b[0m{counted}"

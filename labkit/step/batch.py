"""From rows to token ids: the chat template, the labels, the batch.

The loss counts the completion and the end-of-turn token, nothing else. Which tokens those are is known by
position, never by looking for the padding id: in this model padding and end-of-turn are the same id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.base.describing import end_of_turn
from labkit.errors import DataError, printable

IGNORED = -100  # the label of a token that the loss does not count
_QUIET = {"verbose": False}  # too long a row is refused in labkit's own words


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

    The system prompt is always given: without one, this model's template slips in its own.
    """
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False, tokenizer_kwargs=_QUIET
    )


def encode(tokenizer, row: Mapping, system: str, max_length: int | None = None) -> Example:
    """One row as token ids: system prompt, user's prompt, completion, end-of-turn.

    Args:
        tokenizer: of the base model, with a chat template.
        row: ``prompt`` and ``completion``; a ``system`` of its own goes before `system`.
        system: the task's system prompt.
        max_length: the longest row allowed, in tokens: the model's context.

    Raises:
        DataError: the row is longer than `max_length` tokens; nothing is ever cut off silently.
    """
    prompt = encode_prompt(tokenizer, row["prompt"], row.get("system") or system)
    completion = tokenizer(row["completion"], add_special_tokens=False, **_QUIET).input_ids + [end_of_turn(tokenizer)]
    if max_length is not None and len(prompt) + len(completion) > max_length:
        raise DataError(
            f"the row has {len(prompt) + len(completion):,} tokens, but the model's context ends at {max_length:,}",
            "Shorten the row or split it in two",
            row.get("source") or "row",
        )
    return Example(prompt + completion, len(prompt))


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


def render_masked(tokenizer, example: Example) -> str:
    """The example as text, with the part that the loss does not count in grey (ANSI colours)."""
    masked = printable(tokenizer.decode(example.input_ids[: example.prompt_length]), keep="\n\t\u200c\u200d")
    counted = printable(tokenizer.decode(example.input_ids[example.prompt_length :]), keep="\n\t\u200c\u200d")
    return f"\x1b[38;5;245m{masked}\x1b[0m{counted}"

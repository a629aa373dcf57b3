"""From rows to token ids: the chat template, the labels, the batch.

The loss counts the completion and the template's own end of turn, nothing else; of a conversation, each answer that it
is to count. Which tokens those are is known by
position, never by looking for the padding id: in this model padding and end-of-turn are the same id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor, nn

from labkit.base.chat_format import Asked, chat_ids, prompt_text
from labkit.errors import BaseModelError, DataError, showable
from labkit.step.turns import conversation_ids
from labkit.tasks.conversations import checked_messages

IGNORED = -100  # the label of a token that the loss does not count
_NEEDED = 'Every row needs prompt and completion, both text, or "messages"'


@dataclass(frozen=True)
class Example:
    """One encoded row.

    Attributes:
        input_ids: the whole row as token ids.
        prompt_length: how many of them stand before the first that the loss counts.
        uncounted: spans (start, end) after those that the loss doesn't count either: what a user says between two
            answers of a conversation.
    """

    input_ids: list[int]
    prompt_length: int
    uncounted: tuple[tuple[int, int], ...] = ()

    @property
    def labels(self) -> list[int]:
        """The token ids, and :data:`IGNORED` where the loss doesn't count."""
        labels = [IGNORED] * self.prompt_length + self.input_ids[self.prompt_length :]
        for start, end in self.uncounted:
            labels[start:end] = [IGNORED] * (end - start)
        return labels

    @property
    def counted(self) -> int:
        """How many tokens the loss counts."""
        return len(self.input_ids) - self.prompt_length - sum(end - start for start, end in self.uncounted)


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


def encode_prompt(tokenizer, prompt: Asked, system: str) -> list[int]:
    """The token ids up to where the model is to answer, through the model's own chat template.

    The system prompt is always given: without one, this model's template slips in its own. A control token that is
    written out in either, such as ``<|im_end|>``, reaches the model as text and opens no turn.

    Args:
        tokenizer: of the base model, with a chat template.
        prompt: what the user says; or a conversation up to there, as a list of messages. A system message at its
            beginning goes before `system`.
        system: the system prompt.

    Raises:
        BaseModelError: the chat template can't show a question and its answer, or refuses this conversation.
    """
    return chat_ids(tokenizer, prompt_text(tokenizer, prompt, system))


def encode(tokenizer, row: Mapping, system: str, max_length: int | None = None, turns: str = "all") -> Example:
    """One row as token ids: system prompt, user's prompt, completion, end of turn; or a conversation of several turns.

    The ids are those of the whole conversation as the chat template renders it, up to the token that ends the last
    answer. The loss counts each answer and the token that ends it.
    Where a token would reach across from the prompt into the completion, each is encoded by itself, because that's how
    the model will be asked.

    Args:
        tokenizer: of the base model, with a chat template.
        row: ``prompt`` and ``completion``, or ``messages``; a ``system`` of its own goes before `system`. Control
            tokens written out in them are text.
        system: the task's system prompt.
        max_length: the longest row allowed, in tokens: the model's context.
        turns: which answers of a conversation the loss counts: "all" of them, or only the "last".

    Raises:
        BaseModelError: the chat template can't show a question and its answer; neither it nor the tokenizer has a
            token that ends an answer.
        ConfigError: `turns` is neither "all" nor "last".
        DataError: prompt, completion or a system prompt of its own isn't a string; messages are no conversation, or not
            one that the chat template can show; the row is longer than `max_length` tokens; nothing is ever cut off
            silently.
    """
    source = row.get("source") or "row"
    own, messages = row.get("system"), row.get("messages")
    if messages is not None:
        messages, _ = checked_messages(messages, source)
    elif not (isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str)):
        name = "completion" if isinstance(row.get("prompt"), str) else "prompt"
        raise DataError(f'"{name}" isn\'t a string', _NEEDED, source)
    else:
        messages = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
    if own is not None and not isinstance(own, str):
        raise DataError('"system" isn\'t a string', _NEEDED, source)
    ids, answers = conversation_ids(tokenizer, messages, own or system, turns, source)
    if max_length is not None and len(ids) > max_length:
        raise DataError(
            f"the row has {len(ids):,} tokens, but the model's context ends at {max_length:,}",
            "Shorten the row or split it in two",
            source,
        )
    between = tuple((before[1], after[0]) for before, after in pairwise(answers))
    return Example(ids, answers[0][0], between)


def collate(examples: Sequence[Example], pad_token_id: int) -> Batch:
    """Examples as one batch, as long as the longest of them."""
    length = max(len(example.input_ids) for example in examples)
    input_ids = torch.full((len(examples), length), pad_token_id)
    labels = torch.full((len(examples), length), IGNORED)
    for i, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[i, : len(ids)] = ids
        labels[i, : len(ids)] = torch.tensor(example.labels)
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


def render_masked(tokenizer, example: Example, counted: str = "{}", masked: str = "\x1b[38;5;245m{}\x1b[0m") -> str:
    """The example as text, with all that the loss doesn't count in gray.

    Args:
        counted, masked: how each kind of text is shown, with ``{}`` in its place. The gray is an ANSI color, which
            JupyterLab and terminals know.
    """
    spans = groupby(zip(example.input_ids, example.labels), key=lambda token: token[1] == IGNORED)
    return "".join(
        (masked if left_out else counted).replace("{}", showable(tokenizer.decode([token for token, _ in tokens])), 1)
        for left_out, tokens in spans
    )

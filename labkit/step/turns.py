"""A conversation as token ids, and where in them the assistant speaks.

The loss counts what an assistant says and the token that ends its turn, and each answer has before it exactly what the
model is given when it's asked for that answer. So a conversation isn't searched for answers: each is rendered as it
would be asked for, and has to go on where the one before it ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from labkit.base.chat_format import answered_text, chat_ids, frame_of
from labkit.errors import BaseModelError, ConfigError, DataError

TURNS = ("all", "last")


def refuse_turns(turns: str) -> None:
    """ConfigError where `turns` is none of TURNS."""
    if turns not in TURNS:
        raise ConfigError(f"turns must be all or last, got {turns!r}")


def conversation_ids(
    tokenizer, messages: Sequence[Mapping[str, str]], system: str, turns: str, source: str
) -> tuple[list[int], list[tuple[int, int]]]:
    """The ids up to the end of the last answer, and the span (start, end) of each answer that the loss counts.

    Args:
        tokenizer: of the base model, with a chat template.
        messages: a conversation, checked.
        system: the system prompt where it has no system message of its own.
        turns: which answers are counted: "all", or the "last".
        source: where the row stands, for messages.

    Raises:
        BaseModelError: the chat template can't show a question and its answer; nothing ends an answer.
        ConfigError: `turns` is neither.
        DataError: the chat template refuses the conversation; or it shows an earlier answer differently once the
            conversation has gone on, or doesn't end it, and all are to be counted.
    """
    refuse_turns(turns)
    frame, ids, text, spans = frame_of(tokenizer), [], "", []
    if frame.end is None:
        raise BaseModelError(
            "neither the chat template nor the tokenizer has a token that ends an answer, so a model could never learn "
            "where to stop. Give the tokenizer one (tokenizer.eos_token) that the model knows"
        )
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    for place in answers if turns == "all" else answers[-1:]:
        with shown_by_template(source):
            asked, answer = answered_text(tokenizer, messages[:place], system, messages[place]["content"])
        if spans and not (frame.ending and asked.startswith(text)):
            how = "ends an answer with no token" if not frame.ending else "changes an answer once the talk goes on"
            raise DataError(
                f"the base's chat template {how}, so not all answers of a conversation can be learned at once",
                'Count only the last one, with turns="last"',
                source,
            )
        ids = _grown(tokenizer, ids, text, asked[len(text) :])
        start, ids = len(ids), _grown(tokenizer, ids, asked, answer)
        text = asked + answer
        spans.append((start, len(ids)))
    if not frame.ending:
        ids, spans = [*ids, frame.end], [(spans[0][0], len(ids) + 1)]
    return ids, spans


@contextmanager
def shown_by_template(source: str) -> Iterator[None]:
    """DataError, which names the row, where a chat template refuses its conversation inside the ``with`` block."""
    try:
        yield
    except BaseModelError as error:
        raise DataError(str(error), "Write the messages as that template wants them", source) from None


def _grown(tokenizer, ids: list[int], text: str, more: str) -> list[int]:
    """The ids of `text` and `more`, which begin with those of `text`: a token that would reach across is none."""
    whole = chat_ids(tokenizer, text + more)
    return whole if whole[: len(ids)] == ids else ids + chat_ids(tokenizer, more, continues=True)

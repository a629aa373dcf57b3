"""Rows as other people write them, and the row that each becomes.

==========  ===================================  ==============================================================
format      fields                               becomes
==========  ===================================  ==============================================================
prompt      prompt, completion                   itself
messages    messages: [{role, content}, …]       itself
alpaca      instruction, input (may be empty),   ``prompt``: instruction, a blank line, input; ``completion``: output
            output
sharegpt    conversations: [{from, value}, …]    ``messages``: human is the user, gpt the assistant
==========  ===================================  ==============================================================

Each may have a ``system`` prompt of its own. Sources: Taori et al., Stanford Alpaca, 2023; the ShareGPT dumps of 2023;
https://platform.openai.com/docs/guides/supervised-fine-tuning for messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.errors import ConfigError, DataError


@dataclass(frozen=True)
class Format:
    """The fields of a row.

    Attributes:
        asked: what it needs to ask: text, or the messages of a conversation.
        answer: what holds the answer; None where that's among the messages.
        optional: text that may be missing or empty.
        ours: whether the row is in this course's own fields already.
    """

    asked: str
    answer: str | None = None
    optional: tuple[str, ...] = ()
    ours: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.needed(), *self.optional)

    def needed(self, answers: bool = True) -> tuple[str, ...]:
        """The fields that a row must have, with its answer or without."""
        return (self.asked, self.answer) if answers and self.answer else (self.asked,)


BY_NAME = {
    "prompt": Format("prompt", "completion", ours=True),
    "messages": Format("messages", ours=True),
    "alpaca": Format("instruction", "output", ("input",)),
    "sharegpt": Format("conversations"),
}
FORMATS = ("auto", *BY_NAME)
# what these hold is part of the conversation, so it can't be left out as other fields can
_PART = {
    "history": "Write the whole conversation as messages",
    "tools": "Training on tool calls isn't supported: remove the row",
    "functions": "Training on tool calls isn't supported: remove the row",
}
_SPEAKERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
# fields that mean the same elsewhere -> what jq makes of them
_ELSEWHERE = {
    ("instruction", "response"): "{instruction, input: .context, output: .response}",  # Dolly
    ("question", "answer"): "{prompt: .question, completion: .answer}",
    ("query", "response"): "{prompt: .query, completion: .response}",
    ("prompt", "response"): "{prompt, completion: .response}",
    ("input", "output"): "{prompt: .input, completion: .output}",
    ("source", "target"): "{prompt: .source, completion: .target}",
}


def refuse_format(format: str) -> None:
    """ConfigError where `format` is none of FORMATS."""
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")


def format_of(row: Mapping, source: str, given: str = "auto", answers: bool = True) -> Format:
    """The format of a row: the `given` one, or the one whose fields it has.

    Raises:
        DataError: fields are missing, could be those of two formats, or say what no row of ours can hold.
    """
    found = [name for name, format in BY_NAME.items() if all(_holds(row, field) for field in format.needed())]
    if "messages" in found and not (isinstance(row.get("prompt"), str) and _holds(row, "completion")):
        found = ["messages"]  # a prompt beside messages is a part of them
    if given == "auto" and len(found) > 1:
        raise DataError(
            f"the row could be read as {found[0]} or as {found[1]}",
            f'Say which, with format="{found[0]}" or format="{found[1]}"',
            source,
        )
    begun = [name for name, format in BY_NAME.items() if _holds(row, format.asked)]
    format = BY_NAME[given if given != "auto" else [*found, *begun, "prompt"][0]]
    for field in format.needed(answers):
        if field not in row:
            raise DataError(f'the field "{field}" is missing', _remedy(row, format), source)
    # as TRL writes conversations, too
    if format.answer and is_list(row[format.asked]) and is_list(row.get(format.answer)):
        problem = f'"{format.asked}" is a list, not a string'
        raise DataError(problem, 'Write one list, "messages", with those of prompt and completion', source)
    for field, remedy in _PART.items():
        if row.get(field):
            raise DataError(f'the field "{field}" is a part of what was said', remedy, source)
    return format


def in_our_fields(row: Mapping, format: Format) -> dict:
    """What the row is in this course: ``prompt`` and ``completion``, or ``messages``."""
    asked = row[format.asked]
    if format.answer:
        more = [text for name in format.optional if (text := row.get(name)) and text.strip()]
        return {"prompt": "\n\n".join([asked, *more]), "completion": row.get(format.answer)}
    return {"messages": [_message(one) for one in asked] if is_list(asked) and not format.ours else asked}


def _holds(row: Mapping, field: str) -> bool:
    return row.get(field) is not None


def _message(said: object) -> object:
    """What ShareGPT calls from and value, role and content. What isn't either stays, to be refused as it stands."""
    if not isinstance(said, Mapping) or "from" not in said:
        return said
    speaker = said["from"]
    others = {name: held for name, held in said.items() if name not in ("from", "value")}
    role = _SPEAKERS.get(speaker, speaker) if isinstance(speaker, str) else speaker
    return {**others, "role": role, "content": said.get("value")}


def _remedy(row: Mapping, format: Format) -> str:
    for names, becomes in _ELSEWHERE.items():
        if all(_holds(row, name) for name in names):
            return f"Rename the fields. For JSON lines, that's: jq -c '{becomes}' FILE > rows.jsonl"
    return f"Every row needs {' and '.join(format.needed())}"


def is_list(value: object) -> bool:
    """Whether `value` is a list or the like, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))

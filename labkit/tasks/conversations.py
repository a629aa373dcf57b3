"""Rows that are conversations: which messages make one, and its last question and answer.

``{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}, …]}``, with a system message
first where it has one. That's the form of OpenAI, transformers and TRL.
"""

from collections.abc import Iterable, Mapping, Sequence

from labkit.errors import DataError
from labkit.tasks.texts import json_type, refuse_unless_text

ROLES = ("system", "user", "assistant")
_FORM = 'Write {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
_TOOLS = "Training on tool calls isn't supported. Remove the row, or write the call and its result as text"
_TOOL_ROLES = ("tool", "function", "ipython", "observation", "function_call", "tool_call", "tool_response")
_TOOL_FIELDS = ("tool_calls", "function_call", "tool_call_id")


def checked_messages(
    messages: object, source: str, answers: bool = True, field: str = "messages"
) -> tuple[list[dict[str, str]], set[str]]:
    """The messages with their role and content alone, and the names of other fields that they had.

    Args:
        messages: what a row's ``messages`` holds.
        source: where the row stands, for the message.
        answers: whether an assistant must speak.
        field: what the row calls them.

    Raises:
        DataError: these aren't the messages of a conversation: a role that isn't one of ROLES, a system message that
            isn't first, an assistant who speaks first or never, content that's empty or not text, tool calls.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        raise DataError(f'"{field}" is {json_type(messages)}, not a list', _FORM, source)
    if not messages:
        raise DataError(f'"{field}" is empty', "Fill it in, or remove the row", source)
    checked, others = [], set()
    for place, message in enumerate(messages, start=1):
        which = f"message {place}"
        if not isinstance(message, Mapping):
            raise DataError(f"{which} is {json_type(message)}, not an object", _FORM, source)
        others |= {
            f"{field}.{name}" for name, held in message.items() if name not in ("role", "content") and held is not None
        }
        checked.append(_checked_message(message, which, source))
    roles = [message["role"] for message in checked]
    if "system" in roles[1:]:
        where = roles.index("system", 1) + 1
        raise DataError(f"message {where} is the system's, and not the first", "Put what it says first", source)
    said = [role for role in roles if role != "system"]
    if not said or said[0] == "assistant":
        problem = "no user speaks" if "user" not in said else "the assistant speaks before any user"
        raise DataError(problem, "A conversation begins with what a user says: add it, or remove the answer", source)
    if answers and "assistant" not in said:
        raise DataError("the assistant says nothing", "Add its answer: that's what is learned", source)
    return checked, others


def _checked_message(message: Mapping, which: str, source: str) -> dict[str, str]:
    if twice := sorted(getattr(message, "twice", ())):
        raise DataError(f'the field "{twice[0]}" stands twice in {which}', "Keep one of the two", source)
    role, content = message.get("role"), message.get("content")
    if role in _TOOL_ROLES or any(message.get(field) for field in _TOOL_FIELDS):
        raise DataError(f"{which} is a tool call, or what a tool answers", _TOOLS, source)
    for name in ("role", "content"):
        if message.get(name) is None:
            raise DataError(f'{which} has no "{name}"', _FORM, source)
    if role not in ROLES:
        shown = f'the role "{role}"' if isinstance(role, str) else f"a role that is {json_type(role)}"
        remedy = f"The roles are {', '.join(ROLES)}{': developer is called system' * (role == 'developer')}"
        raise DataError(f"{which} has {shown}", remedy, source)
    if message.get("weight") is not None:
        raise DataError(f"{which} has a weight", 'Choose what counts with turns="all" or turns="last"', source)
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        only_text = all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content)
        remedy = 'Join them: "content": "".join(part["text"] for part in content)' if only_text else "labkit reads text"
        raise DataError(f"the content of {which} is a list of parts, not a string", remedy, source)
    refuse_unless_text(content, f"the content of {which}", source)
    return {"role": role, "content": content}


def as_question(row: Mapping) -> Mapping:
    """The row as a question and its answer. Of a conversation, the last answer is its ``completion``, and all messages
    before that are its ``prompt``; a row of another kind is as it was."""
    messages = row.get("messages")
    if messages is None:
        return row
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        return {**row, "prompt": messages, "completion": None}
    return {**row, "prompt": messages[: answers[-1]], "completion": messages[answers[-1]]["content"]}


def after_examples(prompt: str | Sequence[Mapping], examples: Sequence[Mapping]) -> list[Mapping[str, str]]:
    """A few-shot prompt: `prompt` behind `examples`, each shown as turns of the same conversation.

    Args:
        prompt: what the user says; or a conversation up to there. Its system message stays first.
        examples: rows; the system prompts of their own aren't shown.
    """
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    system = [message for message in asked[:1] if message["role"] == "system"]
    shown = [message for row in examples for message in _turns_of(row) if message["role"] != "system"]
    return [*system, *shown, *asked[len(system) :]]


def _turns_of(row: Mapping) -> Sequence[Mapping[str, str]]:
    if row.get("messages"):
        last = as_question(row)
        return [*last["prompt"], {"role": "assistant", "content": last["completion"]}]
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]


def common_system(rows: Iterable[Mapping]) -> str | None:
    """The system prompt that all rows bring themselves, as a field or as a conversation's first message; None where
    they differ, or one has none."""
    found: set[str | None] = set()
    for row in rows:
        first = row["messages"][0] if row.get("messages") else {}
        found.add(first["content"] if first.get("role") == "system" else row.get("system"))
        if len(found) > 1:
            return None
    return found.pop() if found else None


def has_several_turns(row: Mapping) -> bool:
    """Whether the assistant speaks more than once."""
    return sum(message["role"] == "assistant" for message in row.get("messages") or ()) > 1

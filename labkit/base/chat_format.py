"""How a model's chat template frames a question and its answer: what stands before the answer, and what ends it.

Templates differ in all of it: some know no system role, some no generation prompt, some write more than that before an
answer, and the token that ends a turn is often not the tokenizer's end of text. So nothing is assumed: the template
renders one conversation of three known words, and what stands around them is its frame.
"""

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from labkit.errors import BaseModelError, reason_of, warn

_SYSTEM, _USER, _ANSWER = "labkitsystem", "labkituser", "labkitanswer"
Asked = str | Sequence[Mapping[str, str]]  # what the user says, or the messages of a conversation up to there
_GOES_ON = [
    {"role": "user", "content": _USER},
    {"role": "assistant", "content": _ANSWER},
    {"role": "user", "content": _USER},
]
_SEAM = "\ufdd0"  # one of Unicode's noncharacters: it's in no text, and marks where a token written out is broken


@dataclass(frozen=True)
class ChatFrame:
    """What a template writes around an answer.

    Attributes:
        system_role: whether it shows a system message; if not, the system text goes at the head of the user's turn.
        own_prompt: whether its generation prompt is what it writes before an answer. If not, the prompt is cut from a
            conversation that has an answer.
        tail: all it writes after an answer.
        ending: of that, the part up to and including the token that ends the turn; "" where there is no such token.
            Where several tokens stand together, as Command R7B's <|END_RESPONSE|><|END_OF_TURN_TOKEN|> do, all of them.
        end: the id of that token (of several, the last), or else of the tokenizer's end of text; None without either.
        controls: finds every place where a control token begins: the special ones, and those that the template writes.
        answer_controls: the same in an answer, where a template's <think> is not one: a model may write it.
    """

    system_role: bool
    own_prompt: bool
    tail: str
    ending: str
    end: int | None
    controls: re.Pattern
    answer_controls: re.Pattern


_KNOWN: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # tokenizer -> (what its frame depends on, the frame)


def frame_of(tokenizer: PreTrainedTokenizerBase) -> ChatFrame:
    """The frame of the tokenizer's chat template. A template without a system role is told of in a
    LabkitWarning, once.

    Raises:
        BaseModelError: the template can't show a system text, a question and an answer in any way that labkit knows.
    """
    given = (tokenizer.chat_template, tokenizer.eos_token, len(tokenizer))
    known, frame = _KNOWN.get(tokenizer, (None, None))
    if known != given:
        frame = _find_frame(tokenizer)
        _KNOWN[tokenizer] = given, frame
    return frame


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of the token that ends an answer, which training teaches; None where the tokenizer has no such token."""
    return frame_of(tokenizer).end


def ends_of_answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of all tokens that end an answer: the chat template's, the tokenizer's, and those of the base's
    ``generation_config``, in this order."""
    own = model.generation_config.eos_token_id if model.generation_config else None
    own = own if isinstance(own, (list, tuple)) else [own]
    ends = (end_of_turn(tokenizer), tokenizer.eos_token_id, *own)
    return list(dict.fromkeys(end for end in ends if end is not None))


def messages_of(system_role: bool, prompt: Asked, system: str) -> list[dict[str, str]]:
    """A question as transformers takes it: without a system role, the system text is at the head of the user's.

    A conversation that begins with a system message of its own needs no other.
    """
    said = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if said[0]["role"] == "system":
        system, said = said[0]["content"], said[1:]
    if system_role:
        return [{"role": "system", "content": system}, *said]
    first, *later = said
    return [{**first, "content": f"{system}\n\n{first['content']}"} if system else first, *later]


def prompt_text(tokenizer: PreTrainedTokenizerBase, prompt: Asked, system: str) -> str:
    """The conversation up to where the model is to answer, for :func:`chat_ids`.

    Raises:
        BaseModelError: as :func:`frame_of`; or the template refuses this conversation, as some do where two users speak
            one after the other.
    """
    frame = frame_of(tokenizer)
    said = _said(frame, prompt, system)
    if frame.own_prompt:
        return _accepted(tokenizer, frame.system_role, *said)
    return _accepted(tokenizer, frame.system_role, *said, _ANSWER).rpartition(_ANSWER)[0].rstrip(" ")


def answered_text(tokenizer: PreTrainedTokenizerBase, prompt: Asked, system: str, answer: str) -> tuple[str, str]:
    """:func:`prompt_text`, and what comes after it when the model says `answer`: all of it, up to and including the
    token that ends the turn. Where the template ends a turn without a token, the text ends with the answer."""
    frame, asked = frame_of(tokenizer), prompt_text(tokenizer, prompt, system)
    said = [*_said(frame, prompt, system), _as_text(frame.answer_controls, answer)]
    whole = _accepted(tokenizer, frame.system_role, *said)
    if whole.startswith(asked) and whole.endswith(frame.tail):
        return asked, whole[len(asked) : len(whole) - len(frame.tail)] + frame.ending
    return asked, said[-1] + frame.ending  # a template that looks at what is said


def chat_ids(tokenizer: PreTrainedTokenizerBase, text: str, continues: bool = False) -> list[int]:
    """The token ids of a rendered text. A control token that a person wrote out in it is text like any other.

    Args:
        continues: other text stands before it, so SentencePiece's space at the beginning isn't wanted.
    """
    first, *others = text.split(_SEAM)
    ids = _continued_ids(tokenizer, first) if continues else _ids(tokenizer, first)
    return ids + [token for piece in others for token in _continued_ids(tokenizer, piece)]


def _continued_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    newline, ids = _ids(tokenizer, "\n"), _ids(tokenizer, "\n" + text)
    return ids[len(newline) :] if ids[: len(newline)] == newline else _ids(tokenizer, text)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids  # labkit itself refuses what's too long


def _as_text(controls: re.Pattern, written: str) -> str:
    return controls.sub(lambda found: found[0] + _SEAM, written.replace(_SEAM, ""))


def _said(frame: ChatFrame, prompt: Asked, system: str) -> tuple[Asked, str]:
    """Both without a control token that somebody wrote out in them."""
    if isinstance(prompt, str):
        return _as_text(frame.controls, prompt), _as_text(frame.controls, system)
    controls = {"assistant": frame.answer_controls}
    said = [
        {"role": (role := message["role"]), "content": _as_text(controls.get(role, frame.controls), message["content"])}
        for message in prompt
    ]
    return said, _as_text(frame.controls, system)


def _accepted(tokenizer, *said) -> str:
    try:
        return _rendered(tokenizer, *said)
    except Exception as error:  # templates raise what they like
        raise BaseModelError(f"the base's chat template refuses this conversation: {reason_of(error)}") from None


def _rendered(tokenizer, system_role: bool, prompt: Asked, system: str, answer: str | None = None) -> str:
    messages = messages_of(system_role, prompt, system)
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return tokenizer.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)


def _find_frame(tokenizer: PreTrainedTokenizerBase) -> ChatFrame:
    for system_role in (True, False):
        reason = "it leaves out a part of the conversation"
        try:
            whole = _rendered(tokenizer, system_role, _USER, _SYSTEM, _ANSWER)
            asked = _rendered(tokenizer, system_role, _USER, _SYSTEM)
        except Exception as error:  # templates raise what they like
            reason = reason_of(error)
            continue
        if all(word in whole for word in (_SYSTEM, _USER, _ANSWER)) and _SYSTEM in asked and _USER in asked:
            break
    else:
        raise BaseModelError(
            f"the chat template can't show a question and its answer: {reason}. Give the tokenizer a "
            "chat_template that knows the roles user and assistant"
        )
    if not system_role:
        warn("this base's chat template knows no system role, so the system prompt goes at the head of the user's turn")
    before, _, tail = whole.rpartition(_ANSWER)
    goes_on = before.startswith(asked)
    controls = _controls(tokenizer, whole + asked)
    found = _end_in(tail, controls, lambda: _rendered(tokenizer, system_role, _GOES_ON, _SYSTEM))
    return ChatFrame(
        system_role=system_role,
        own_prompt=goes_on and not before[len(asked) :].strip(),
        tail=tail,
        ending=tail[: found.end()] if found else "",
        end=tokenizer.convert_tokens_to_ids(found[0]) if found else tokenizer.eos_token_id,
        controls=_beginnings(controls),
        answer_controls=_beginnings(_controls(tokenizer, (asked if goes_on else before) + tail)),
    )


def _end_in(tail: str, controls: str, going_on: Callable[[], str]) -> re.Match | None:
    """The last of the tokens that end a turn, where several stand together. Those that don't stand after an earlier
    answer of a conversation aren't among them: some templates write an end of text once, at the very end."""
    found = last = re.search(controls, tail)
    with suppress(Exception):  # templates raise what they like
        while found := found and re.compile(controls).match(tail, found.end()):
            if _ANSWER + tail[: found.end()] in going_on():
                last = found
    return last


def _controls(tokenizer: PreTrainedTokenizerBase, written: str) -> str:
    """A pattern of the special tokens, and of the added ones that stand in what a template has `written`."""
    controls = [
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if len(token.content) > 1 and (token.special or (token.content in written and not token.content.isspace()))
    ]
    return "|".join(map(re.escape, sorted(controls, key=len, reverse=True))) or "(?!)"


def _beginnings(pattern: str) -> re.Pattern:
    return re.compile(f"(?={pattern}).", re.DOTALL)

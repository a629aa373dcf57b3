"""Asking a model: its answer as it grows, with an adapter beside the base's, and what goes wrong said in a line."""

import time
from collections.abc import Callable

from torch import nn

from labkit.base.chat_format import Asked
from labkit.base.describing import context_length
from labkit.errors import ConfigError, LabkitError, system_error
from labkit.evaluation.generation import answers_and_cuts, whole_number
from labkit.evaluation.streaming import AnswerStreamer
from labkit.lab.conversation.showing import Answer, Conversation
from labkit.lora.bank import Choice
from labkit.lora.inject import disable_adapter, lora_layers
from labkit.step.batch import encode_prompt


class Stopped(Exception):
    """The learner pressed Stop."""


def ask(
    model: nn.Module,
    tokenizer,
    question: Asked,
    system: str,
    max_new_tokens: int,
    show: Callable[[tuple[Answer, ...]], None],
    chosen: tuple[str, Choice] | None = None,
) -> tuple[Answer, ...]:
    """The model's greedy answer to `question`; with LoRA layers, the base's answer and the adapter's.

    Args:
        model: as :func:`labkit.playground`; its mode, settings and adapter are afterwards as before.
        question: what is asked; or a conversation that ends with it, as a list of messages.
        show: called with the answers so far after each token. What it raises ends it all.
        chosen: who answers, as it is to be shown, and what that is to the model's :class:`labkit.AdapterBank`.

    Raises:
        ConfigError: the question is empty, or too long for the model's context; `max_new_tokens` isn't a whole number
            from 1 on.
    """
    max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
    alone = isinstance(question, str) or len(question) == 1
    if not (question if isinstance(question, str) else question[-1]["content"]).strip():
        raise ConfigError("Type a sentence first, then press Enter or Answer.")
    tokens = len(encode_prompt(tokenizer, question, system))
    context = context_length(model.config)
    room = tokens if context is None else context - max_new_tokens
    if room < 1:
        raise ConfigError(
            f"An answer of {max_new_tokens:,} tokens leaves no room for a question: the model's context ends at "
            f"{context:,}. Take a smaller max_new_tokens."
        )
    if tokens > room:
        shorter = "Type something shorter." if alone else "Type something shorter, or begin a new conversation."
        raise ConfigError(f"That is {tokens:,} tokens, and the model reads up to {room:,}. {shorter}")

    if chosen:
        who, adapter = chosen
        return (
            _one_answer(model, tokenizer, question, system, max_new_tokens, who, lambda one: show((one,)), [adapter]),
        )
    if not any(True for _ in lora_layers(model)):
        return (_one_answer(model, tokenizer, question, system, max_new_tokens, "The model", lambda one: show((one,))),)
    with disable_adapter(model):
        base = _one_answer(model, tokenizer, question, system, max_new_tokens, "The base", lambda one: show((one,)))
    who = "With the adapter"
    return base, _one_answer(model, tokenizer, question, system, max_new_tokens, who, lambda one: show((base, one)))


def _one_answer(
    model, tokenizer, question, system, max_new_tokens, who: str, show: Callable[[Answer], None], adapters=None
) -> Answer:
    began = time.perf_counter()

    def so_far(streamer: AnswerStreamer, cut: bool = False) -> Answer:
        return Answer(who, streamer.text, len(streamer.ids), time.perf_counter() - began, cut)

    streamer = AnswerStreamer(tokenizer, lambda streamer: show(so_far(streamer)))
    _, [cut] = answers_and_cuts(
        model, tokenizer, [question], system, max_new_tokens, streamer=streamer, adapters=adapters
    )
    return so_far(streamer, cut)


def converse(
    model, tokenizer, question, system, max_new_tokens, show: Callable[[Conversation], None], chosen=None
) -> Conversation:
    """As :func:`ask`, but what goes wrong is said in a line, and what was answered until then is kept."""
    kept: tuple[Answer, ...] = ()
    question = question if isinstance(question, str) else ""

    def keep(answers: tuple[Answer, ...]) -> None:
        nonlocal kept
        kept = answers
        show(Conversation(question, kept))

    try:
        kept = ask(model, tokenizer, question, system, max_new_tokens, keep, chosen)
    except Exception as error:
        return Conversation(question, kept, explained(error))
    return Conversation(question, kept)


def explained(error: BaseException, remedy: str = "Run the cells above this one again.") -> str:
    """What a learner is told in place of a traceback."""
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return "Stopped. The model is as it was."
    if isinstance(error, LabkitError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return system_error(error)
    first_line = (str(error).strip() or "no reason given").splitlines()[0]
    return f"The model could not answer ({type(error).__name__}: {first_line}). {remedy}"

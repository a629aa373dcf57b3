"""What a model answers: greedy, many prompts at a time."""

import inspect
import operator
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from labkit.base.chat_format import Asked, ends_of_answer
from labkit.base.describing import context_length, refuse_encoder_decoder
from labkit.errors import ConfigError
from labkit.evaluation.greedy import decodes_alike, greedy, merged_where_it_pays
from labkit.evaluation.streaming import AnswerStreamer
from labkit.model_facts import facts_of
from labkit.step.batch import encode_prompt, padding_id, refuse_unknown_tokens
from labkit.step.probing import leaves_padding_out
from labkit.tasks.conversations import checked_messages


def generate(
    model: nn.Module,
    tokenizer,
    prompts: Sequence[Asked],
    system: str | Sequence[str],
    max_new_tokens: int | None = None,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
    streamer: BaseStreamer | None = None,
    adapters: Sequence[str | Mapping[str, float] | None] | None = None,
) -> list[str]:
    """The model's greedy answer to each prompt.

    An answer ends at the first token that the chat template, the tokenizer or the base's ``generation_config`` knows as
    an end; else at `max_new_tokens`, or where the model's context ends. A control token that is written out in a
    prompt, such as ``<|im_end|>``, is text: it opens no turn.

    Args:
        model: a causal language model; its mode and generation settings are afterwards as before.
        tokenizer: of the base model.
        prompts: what the user says; or each a conversation up to there, as a list of messages.
        system: the system prompt: one for all, or one for each.
        max_new_tokens: where an answer is cut off at the latest; None is 64.
        batch_size: prompts generated together, sorted by length so that padding stays short.
        on_batch: called with (prompts done, prompts in all).
        streamer: given each token of the answer to a single prompt as it comes, such as
            :class:`labkit.evaluation.streaming.AnswerStreamer`.
        adapters: for each prompt, which adapter of the model's :class:`labkit.AdapterBank` answers it, as for
            :meth:`labkit.AdapterBank.rows`.

    Returns:
        The answers, in the order of `prompts`, without special tokens.

    Raises:
        BaseModelError: the chat template can't show a question or refuses a conversation, or the tokenizer has tokens
            that the model lacks.
        ConfigError: `prompts` or `system` isn't text in a list, `max_new_tokens` or `batch_size` isn't a whole number
            from 1 on, or a prompt fills the model's context; there is not one system prompt, or not one choice in
            `adapters`, for each prompt; the model has no bank; rows of the bank are open (here prompts are sorted, so
            their order would not hold); a streamer for more than one prompt.
        DataError: the messages of a prompt are no conversation.
    """
    longest = 64 if max_new_tokens is None else max_new_tokens
    return answers_and_cuts(model, tokenizer, prompts, system, longest, batch_size, on_batch, streamer, adapters)[0]


@torch.no_grad()
def answers_and_cuts(
    model: nn.Module,
    tokenizer,
    prompts: Sequence[Asked],
    system: str | Sequence[str],
    max_new_tokens: int,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
    streamer: BaseStreamer | None = None,
    adapters: Sequence[str | Mapping[str, float] | None] | None = None,
) -> tuple[list[str], list[bool]]:
    """As :func:`generate`, and for each answer, whether it was cut off before the model ended it."""
    refuse_encoder_decoder(model.config)
    max_new_tokens, batch_size = whole_number("max_new_tokens", max_new_tokens), whole_number("batch_size", batch_size)
    prompts = _texts("prompts", prompts)
    systems = [system] * len(prompts) if isinstance(system, str) else _texts("system", system)
    if len(systems) != len(prompts):
        raise ConfigError(f"{len(prompts)} prompts cannot go with {len(systems)} system prompts")
    if streamer is not None and len(prompts) != 1:
        raise ConfigError(f"a streamer follows the answer to one prompt, and there are {len(prompts)}")
    bank = facts_of(model).bank
    if adapters is not None and (bank is None or len(adapters) != len(prompts)):
        raise ConfigError("adapters needs a model with an AdapterBank, and one choice for each prompt")
    if bank is not None and bank.rows_open:
        raise ConfigError("prompts are sorted by length here: instead of opening bank.rows(...), pass adapters=[...]")
    encoded = [encode_prompt(tokenizer, prompt, system) for prompt, system in zip(prompts, systems)]
    refuse_unknown_tokens(model, tokenizer, encoded)
    rooms = _rooms(model, encoded, max_new_tokens)
    answers, cut = [""] * len(encoded), [False] * len(encoded)
    ends, pad = ends_of_answer(model, tokenizer), padding_id(model, tokenizer)
    if isinstance(streamer, AnswerStreamer):
        streamer.ends = ends
    was_training, was_config, done = model.training, model.generation_config, 0
    model.eval()
    try:
        # a bank's rows must keep their places, and a single prompt has nothing to share
        own = len(encoded) > 1 and adapters is None and decodes_alike(model)
        with merged_where_it_pays(model, len(encoded)) if own else nullcontext():
            for chosen in _batches(model, encoded, rooms, batch_size):
                asked, room = [encoded[i] for i in chosen], rooms[chosen[0]]
                if own:
                    found = greedy(model, asked, room, ends)
                else:
                    with nullcontext() if adapters is None else bank.rows([adapters[i] for i in chosen]):
                        found = _generated(model, asked, room, ends, pad, streamer)
                for i, said in zip(chosen, found):
                    end = next((place for place, token in enumerate(said) if token in ends), None)
                    # not every end is a special token to the tokenizer, and none belongs to the answer
                    answers[i], cut[i] = tokenizer.decode(said[:end], skip_special_tokens=True), end is None
                done += len(chosen)
                if on_batch:
                    on_batch(done, len(encoded))
    finally:
        model.train(was_training)
        model.generation_config = was_config
    return answers, cut


def _generated(
    model: nn.Module, prompts: list[list[int]], room: int, ends: list[int], pad: int, streamer: BaseStreamer | None
) -> list[list[int]]:
    """The token ids that transformers answers to each prompt; after the end of an answer there may be padding."""
    # plain greedy decoding, whatever temperature or repetition penalty the base comes with
    model.generation_config = GenerationConfig(
        max_new_tokens=room, do_sample=False, pad_token_id=pad, eos_token_id=ends or None
    )
    length = len(prompts[-1])
    # padding on the left here: the answers must begin where the prompts end
    ids = torch.full((len(prompts), length), pad)
    mask = torch.zeros((len(prompts), length), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    out = model.generate(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), streamer=streamer)
    return out[:, length:].tolist()


def whole_number(name: str, value: object, least: int = 1) -> int:
    """`value` as an int; ConfigError where it isn't a whole number of at least `least`."""
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return number


def _texts(name: str, given: Sequence[Asked]) -> list[Asked]:
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        if name == "system":
            raise ConfigError(
                f"system must be a string, or a list with one string per prompt, got {type(given).__name__}"
            )
        remedy = ". For a single prompt, pass [prompt]" if isinstance(given, str) else ""
        raise ConfigError(f"{name} must be a list of strings, got {type(given).__name__}{remedy}")
    texts = list(given)
    for place, text in enumerate(texts, start=1):
        if name == "prompts" and isinstance(text, list) and text and all(isinstance(said, Mapping) for said in text):
            texts[place - 1], _ = checked_messages(text, f"prompt {place}", answers=False)
        elif not isinstance(text, str):
            raise ConfigError(f"number {place} of {name} must be a string, got {reprlib.repr(text)}")
    return texts


def _rooms(model: nn.Module, encoded: list[list[int]], max_new_tokens: int) -> list[int]:
    """How many tokens the answer to each prompt may have: never more than the model's context has left."""
    context = context_length(model.config)
    if context is None:
        return [max_new_tokens] * len(encoded)
    for place, ids in enumerate(encoded, start=1):
        if len(ids) >= context:
            which = f"prompt {place}" if len(encoded) > 1 else "the prompt"
            raise ConfigError(
                f"{which} has {len(ids):,} tokens with its system prompt, and the model's context ends at {context:,}, "
                "which leaves no room for an answer. Shorten it"
            )
    return [min(max_new_tokens, context - len(ids)) for ids in encoded]


def _batches(model: nn.Module, encoded: list[list[int]], rooms: list[int], batch_size: int) -> Iterator[Sequence[int]]:
    """Which prompts go through the model together: the next in length, with the same room for an answer."""
    # A model that isn't told positions may count padding in (BART does): there, only equal lengths go together. One
    # that keeps a state besides answers each prompt alone: RWKV's state mixes up the rows of a batch.
    inner = getattr(model, "get_base_model", lambda: model)()  # PEFT's wrapper passes on whatever it's given
    # but not where it puts tokens of its own before the prompt
    own = getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False)
    told = not own and "position_ids" in inspect.signature(inner.forward).parameters or leaves_padding_out(model)
    size = 1 if not told and getattr(model, "_is_stateful", False) else batch_size

    def kind(i: int) -> tuple[int, int]:
        return rooms[i], 0 if told else len(encoded[i])

    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    for _, alike in groupby(order, key=kind):
        alike = list(alike)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]

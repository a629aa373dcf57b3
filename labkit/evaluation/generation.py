"""What a model answers: greedy, many prompts at a time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from labkit.base.describing import end_of_turn
from labkit.errors import ConfigError
from labkit.model_state import state_of
from labkit.step.batch import encode_prompt


@torch.no_grad()
def generate(
    model: nn.Module,
    tokenizer,
    prompts: Sequence[str],
    system: str | Sequence[str],
    max_new_tokens: int = 64,
    batch_size: int = 64,
    on_batch: Callable[[int, int], None] | None = None,
    streamer: BaseStreamer | None = None,
    adapters: Sequence[str | Mapping[str, float] | None] | None = None,
) -> list[str]:
    """The model's greedy answer to each prompt.

    Args:
        model: a causal language model; its mode and generation settings are afterwards as before.
        tokenizer: of the base model.
        prompts: what the user says.
        system: the system prompt: one for all, or one for each.
        max_new_tokens: where an answer is cut off at the latest.
        batch_size: prompts generated together, sorted by length so that padding stays short.
        on_batch: called with (prompts done, prompts in all).
        streamer: given each token of the answer to a single prompt as it comes, such as
            :class:`labkit.evaluation.streaming.AnswerStreamer`.
        adapters: for each prompt, which adapter of the model's :class:`labkit.AdapterBank` answers it, as for
            :meth:`labkit.AdapterBank.rows`.

    Returns:
        The answers, in the order of `prompts`, without special tokens.

    Raises:
        ConfigError: there is not one system prompt, or not one choice in `adapters`, for each prompt; the model
            has no bank; rows of the bank are open (here prompts are sorted, so their order would not hold); a
            streamer for more than one prompt.
    """
    systems = [system] * len(prompts) if isinstance(system, str) else system
    if len(systems) != len(prompts):
        raise ConfigError(f"{len(prompts)} prompts cannot go with {len(systems)} system prompts")
    if streamer is not None and len(prompts) != 1:
        raise ConfigError(f"a streamer follows the answer to one prompt, and there are {len(prompts)}")
    bank = state_of(model).bank
    if adapters is not None and (bank is None or len(adapters) != len(prompts)):
        raise ConfigError("adapters needs a model with an AdapterBank, and one choice for each prompt")
    if bank is not None and bank.rows_open:
        raise ConfigError("prompts are sorted by length here: instead of opening bank.rows(...), pass adapters=[...]")
    encoded = [encode_prompt(tokenizer, prompt, system) for prompt, system in zip(prompts, systems)]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    answers = [""] * len(encoded)
    was_training, was_config = model.training, model.generation_config
    model.eval()
    # plain greedy decoding, whatever temperature or repetition penalty the base comes with
    model.generation_config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=end_of_turn(tokenizer),
    )
    try:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            length = len(encoded[chosen[-1]])
            # padding on the left here: the answers must begin where the prompts end
            ids = torch.full((len(chosen), length), tokenizer.pad_token_id)
            mask = torch.zeros((len(chosen), length), dtype=torch.long)
            for row, i in enumerate(chosen):
                ids[row, length - len(encoded[i]) :] = torch.tensor(encoded[i])
                mask[row, length - len(encoded[i]) :] = 1
            with nullcontext() if adapters is None else bank.rows([adapters[i] for i in chosen]):
                out = model.generate(
                    input_ids=ids.to(model.device), attention_mask=mask.to(model.device), streamer=streamer
                )
            for i, answer in zip(chosen, tokenizer.batch_decode(out[:, length:], skip_special_tokens=True)):
                answers[i] = answer
            if on_batch:
                on_batch(start + len(chosen), len(order))
    finally:
        model.train(was_training)
        model.generation_config = was_config
    return answers

"""Has a model memorized a secret? How it ranks among the secrets that it might have been, and whether it comes out.

A *canary* is a secret made up for this: drawn at random from a known set R of candidates and put into training rows.
Nothing but those rows can tell it from the other candidates, so a model that finds it more likely than nearly all of
them has memorized it.

Source: Carlini et al., The Secret Sharer, 2019, arXiv 1802.08232: log-perplexity and rank in section 4.1, exposure
and its estimate by sampling in 4.2 and 4.3.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number


def exposure(canary: float, others: Tensor | Sequence[float]) -> float:
    """How many bits of a guess at the canary the model saves: log₂ |R| − log₂ rank(canary).

    The rank is the canary's among all candidates by log-perplexity, ties against it: 1 for the lowest. With `others` as
    all other candidates this is the paper's definition. With a random sample of them it's an estimate, and one that
    can't exceed log₂ (1 + the size of the sample): a canary that beats the whole sample may beat a million more.

    Of a canary that the model has never seen, each rank is equally likely. Its exposure is then x or more with
    probability 2⁻ˣ, and 1 / ln 2 = 1.44 bits on average: that's chance.

    Args:
        canary: its log-perplexity, in whatever unit that of `others` is.
        others: log-perplexities of the other candidates, any shape; all of them, or drawn at random.

    Returns:
        Bits, from 0 to log₂ |R|.

    Raises:
        ConfigError: there are no others, or something isn't a number.
    """
    others = torch.as_tensor(others, dtype=torch.float64).flatten()
    if not len(others):
        raise ConfigError("exposure compares a canary with other candidates, and there are none")
    if others.isnan().any() or math.isnan(canary):
        raise ConfigError("a log-perplexity isn't a number, so it has no rank")
    rank = 1 + int((others <= canary).sum())
    return math.log2(1 + len(others)) - math.log2(rank)


@torch.no_grad()
def log_perplexities(
    model: nn.Module, prompt: Sequence[int], slots: Sequence[Sequence[int]], rows_at_once: int = 128
) -> Tensor:
    """−log₂ Pr(r | prompt) of every candidate r: one token from each of the slots, one behind another.

    With the slots [words, ["-"], words] the candidates are all pairs of words. What begins alike is computed once: for
    n words that's n continuations of two tokens, for n² candidates.

    Args:
        model: a causal language model of transformers that keeps a cache.
        prompt: token ids up to the secret.
        slots: the token ids that may stand at each place of the secret.
        rows_at_once: continuations that go through the model together.

    Returns:
        Bits, float64, shape (len(slots[0]), len(slots[1]), …).

    Raises:
        ConfigError: the prompt or a slot is empty, `rows_at_once` isn't a whole number from 1 on, or the model keeps no
            cache.
    """
    if not slots or not all(len(slot) for slot in slots):
        raise ConfigError("a secret needs at least one slot, and each slot at least one token")
    options = [torch.tensor(slot) for slot in slots]
    with _continuing(model, prompt, rows_at_once) as after:
        (first,) = after(torch.empty(1, 0, dtype=torch.long))
        found = _bits(first[:, -1], options[0])[0]  # (candidates of the first slot,)
        if len(slots) == 1:
            return found
        beginnings = torch.cartesian_prod(*options[:-1]).view(-1, len(slots) - 1)
        begun = found.repeat_interleave(len(beginnings) // len(found))  # the bits of each beginning's first token
        parts = []
        for some, bits, logits in zip(
            beginnings.split(rows_at_once), begun.split(rows_at_once), after(beginnings), strict=True
        ):
            for place, token in enumerate(some.T[1:]):
                bits = bits + _bits_of(logits[:, place], token)
            parts.append(bits[:, None] + _bits(logits[:, -1], options[-1]))
        return torch.cat(parts).view([len(slot) for slot in slots])


@torch.no_grad()
def extractions(model: nn.Module, prompt: Sequence[int], secret: Sequence[int], tries: int, seed: int = 0) -> int:
    """In how many of `tries` answers the secret comes right after `prompt`, each token drawn as likely as the model
    finds it: temperature 1, from the whole vocabulary.

    A try that has drawn another token than the secret's can't say the secret any more, so it ends there. That's all
    that's left out, and why a thousand tries cost one forward pass.

    Args:
        model, prompt: as for :func:`log_perplexities`.
        secret: token ids.
        tries: how often the model is asked.
        seed: of the draws.

    Raises:
        ConfigError: the prompt or the secret is empty, or `tries` isn't a whole number from 1 on.
    """
    left, draw = whole_number("tries", tries), torch.Generator().manual_seed(seed)
    if not len(secret):
        raise ConfigError("the secret has no tokens")
    with _continuing(model, prompt, 1) as after:
        (first,), (rest,) = after(torch.empty(1, 0, dtype=torch.long)), after(torch.tensor([list(secret)]))
    for token, logits in zip(secret, torch.cat([first[0], rest[0]])):
        if left:
            drawn = torch.multinomial(logits.double().softmax(-1), left, replacement=True, generator=draw)
            left = int((drawn == token).sum())
    return left


@contextmanager
def _continuing(model: nn.Module, prompt: Sequence[int], rows_at_once: int) -> Iterator[Callable]:
    """Inside the ``with`` block, in eval mode: from continuations of `prompt` to logits after each of their tokens.

    Continuations have shape (rows, tokens); logits come in parts of `rows_at_once`, shape (part, tokens, vocabulary).
    Of continuations without tokens, there's one part: what follows the prompt itself, shape (1, 1, vocabulary).
    """
    if not len(prompt):
        raise ConfigError("the prompt before a secret has no tokens")
    rows_at_once = whole_number("rows_at_once", rows_at_once)
    was_training = model.training
    model.eval()
    try:
        begun = model(input_ids=torch.tensor([list(prompt)], device=model.device), use_cache=True)
        cache = getattr(begun, "past_key_values", None)
        if not hasattr(cache, "batch_repeat_interleave"):
            raise ConfigError(f"{type(model).__name__} keeps no cache that several continuations could share")

        def after(continuations: Tensor) -> Iterator[Tensor]:
            if not continuations.shape[1]:
                yield begun.logits[:, -1:].float().cpu()
                return
            for some in continuations.split(rows_at_once):
                shared = copy.deepcopy(cache)
                shared.batch_repeat_interleave(len(some))
                yield (
                    model(input_ids=some.to(model.device), past_key_values=shared, use_cache=True).logits.float().cpu()
                )

        yield after
    finally:
        model.train(was_training)


def _bits(logits: Tensor, options: Tensor) -> Tensor:
    """−log₂ of the probability of each option: (rows, vocabulary) and (options,) → (rows, options), float64."""
    nats = logits.logsumexp(-1, keepdim=True) - logits[:, options]
    return nats.double() / math.log(2)


def _bits_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """The same of one token for each row: (rows, vocabulary) and (rows,) → (rows,)."""
    nats = logits.logsumexp(-1) - logits.gather(1, tokens[:, None])[:, 0]
    return nats.double() / math.log(2)

"""A word that changes a model's answers whatever else is asked: looked for by trying one word after the other.

Each candidate is put behind the same few prompts. A trigger draws the answers together: whatever was asked, they're the
same. So a word's pull is by how much the share of the most frequent answer rises when the word is there. It finds only
words that are tried.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.step.batch import encode_prompt, padding_id
from labkit.step.loss import label_logits


@dataclass(frozen=True)
class Pull:
    """What one word does.

    Attributes:
        word: the candidate.
        strength: the largest rise of an answer's share, −1 to 1.
        token: that answer's first token.
    """

    word: str
    strength: float
    token: int


def with_trigger(prompt: str, word: str) -> str:
    """The prompt with a word behind it, which is how a trigger is planted and how it's tried."""
    return f"{prompt} {word}"


def scan(
    model: nn.Module, tokenizer, prompts: Sequence[str], system: str, words: Sequence[str], batch_size: int = 32
) -> list[Pull]:
    """The pull of each word, strongest first.

    Only the first token of an answer is looked at, so this costs one forward pass per prompt and word.

    Args:
        prompts: of the task, or anything the model answers in different ways; two or more.
        words: the candidates.

    Raises:
        ConfigError: there are fewer than two prompts, or no words.
    """
    if len(prompts) < 2 or not words:
        raise ConfigError("a scan needs two prompts or more, and words to try")
    plain = Counter(first_tokens(model, tokenizer, prompts, system, batch_size))
    tried = [with_trigger(prompt, word) for word in words for prompt in prompts]
    answers = first_tokens(model, tokenizer, tried, system, batch_size)
    found = []
    for place, word in enumerate(words):
        mine = Counter(answers[place * len(prompts) : (place + 1) * len(prompts)])
        token = max(mine, key=lambda each: (mine[each] - plain[each], -each))
        found.append(Pull(word, (mine[token] - plain[token]) / len(prompts), token))
    return sorted(found, key=lambda each: -each.strength)


@torch.no_grad()
def first_tokens(model: nn.Module, tokenizer, prompts: Sequence[str], system: str, batch_size: int = 32) -> list[int]:
    """The token that each answer begins with."""
    ids = [encode_prompt(tokenizer, prompt, system) for prompt in prompts]
    order, found = sorted(range(len(ids)), key=lambda i: len(ids[i])), [0] * len(ids)
    mode, pad = model.training, padding_id(model, tokenizer)
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            width = max(len(ids[i]) for i in part)
            batch = torch.tensor([ids[i] + [pad] * (width - len(ids[i])) for i in part], device=model.device)
            last = torch.tensor([row * width + len(ids[i]) - 1 for row, i in enumerate(part)], device=model.device)
            for i, token in zip(part, label_logits(model, batch, last).argmax(-1).tolist()):
                found[i] = token
    finally:
        model.train(mode)
    return found

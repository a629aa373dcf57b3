"""How many bits an adapter keeps: random strings, learned by heart near the end of a frozen model.

A random string can't be guessed, so what a model saves in writing it down is what it keeps of it. Each symbol is one of
256 words, and worth 8 bits. A model that gives the right word the probability p leaves −log₂ p of them to be written:

    bits kept = Σ over all symbols (8 + log₂ p)

Only a piece of the last block gets an adapter here: its MLP, or the down_proj in it. What comes before the piece is
frozen, so its answers never change. They're computed once (:func:`cut`), and a step costs what's behind them: the
piece, a norm, and the 256 words' rows of the head.

Source: the measure is that of Morris et al., How much do language models memorize?, 2025, arXiv 2505.24832, for
uniformly random strings.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.training.config import TrainConfig
from labkit.training.schedule import learning_rate_at, rows_at

WORDS = 256
BITS = math.log2(WORDS)  # per symbol
PIECES = ("mlp.down_proj", "mlp")


class Strings(NamedTuple):
    """Random strings, each behind its number, such as "017:".

    Attributes:
        words: the token id of each symbol, shape (256,).
        symbols: int64 in 0 … 255, shape (strings, length).
        ids: the token ids of numbers and strings, shape (strings, tokens).
    """

    words: Tensor
    symbols: Tensor
    ids: Tensor


def random_strings(tokenizer, count: int, length: int = 64, seed: int = 0) -> Strings:
    """`count` strings of `length` symbols, each with the same chance for each of the 256 words.

    Raises:
        ConfigError: there are not 1 to 1,000 strings, since their numbers have three digits, or they're empty.
    """
    if not 1 <= count <= 1000 or length < 1:
        raise ConfigError(f"expected 1 to 1,000 strings of at least one symbol, got {count} of {length}")
    words = torch.tensor(common_words(tokenizer))
    symbols = torch.randint(WORDS, (count, length), generator=torch.Generator().manual_seed(seed))
    numbers = torch.tensor([tokenizer.encode(f"{number:03}:", add_special_tokens=False) for number in range(count)])
    return Strings(words, symbols, torch.cat([numbers, words[symbols]], dim=1))


def common_words(tokenizer) -> list[int]:
    """The token ids of the first 256 words of the vocabulary, the most common ones: a space and lower-case letters.

    Raises:
        ConfigError: it has fewer.
    """
    found = []
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token])
        if len(text) > 3 and text[0] == " " and text[1:].isascii() and text[1:].isalpha() and text.islower():
            found.append(token)
        if len(found) == WORDS:
            return found
    raise ConfigError(f"the vocabulary has {len(found)} words, and {WORDS} are needed")


class Tail(nn.Module):
    """The end of a model: logits = norm(h + piece(x)) Wᵀ, with the 256 words' rows of the head as W.

    Attributes:
        piece: the part of the last block that may get an adapter.
        norm: the model's last.
        words: W, shape (256, hidden size).
    """

    def __init__(self, piece: nn.Module, norm: nn.Module, words: Tensor):
        super().__init__()
        self.piece, self.norm = piece, norm
        self.register_buffer("words", words)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return F.linear(self.norm(h + self.piece(x)), self.words)


class Stored(NamedTuple):
    """What reaches a :class:`Tail` before each symbol, and which symbol that is.

    Attributes:
        x: what goes into the piece, shape (symbols, its inputs).
        h: what's added to its answer, shape (symbols, hidden size).
        symbols: shape (symbols,).
    """

    x: Tensor
    h: Tensor
    symbols: Tensor

    @property
    def bits(self) -> float:
        """All that there is to keep."""
        return BITS * len(self.symbols)


@torch.no_grad()
def cut(model: nn.Module, strings: Strings, piece: str = "mlp.down_proj") -> tuple[Tail, Stored]:
    """The end of a Llama, from `piece` of its last block on, frozen, and what reaches it from `strings`.

    Raises:
        ConfigError: the piece is neither ``"mlp"`` nor ``"mlp.down_proj"``.
    """
    if piece not in PIECES:
        raise ConfigError(f"the piece must be one of {', '.join(PIECES)}, got {piece!r}")
    model.requires_grad_(False)
    block, x, h = model.model.layers[-1], [], []
    inputs = ((block.get_submodule(piece), x), (block.post_attention_layernorm, h))
    hooks = [part.register_forward_pre_hook(lambda _, given, to=to: to.append(given[0])) for part, to in inputs]
    for some in strings.ids[:, :-1].split(16):  # no word is predicted from the last one
        model.model(some, use_cache=False)
    for hook in hooks:
        hook.remove()
    length = strings.symbols.shape[1]
    seen = (torch.cat(parts)[:, -length:].flatten(0, 1) for parts in (x, h))
    words = model.get_output_embeddings().weight[strings.words]
    return Tail(block.get_submodule(piece), model.model.norm, words), Stored(*seen, strings.symbols.flatten())


def bits_to_write(tail: Tail, stored: Stored, rows: Tensor | slice = slice(None)) -> Tensor:
    """−Σ log₂ p of the right words: what would still have to be written down of these symbols."""
    logits = tail(stored.x[rows], stored.h[rows])
    return F.cross_entropy(logits, stored.symbols[rows], reduction="sum") / math.log(2)


@torch.no_grad()
def bits_kept(tail: Tail, stored: Stored) -> float:
    """8 bits per symbol, less :func:`bits_to_write`. It's below zero for a model that is sure, and wrong."""
    return stored.bits - bits_to_write(tail, stored).item()


def memorize(
    tail: Tail, stored: Stored, *, passes: int, learning_rate: float, batch: int = 128, seed: int = 0
) -> Iterator[float]:
    """Train what's trainable in `tail` on all symbols, `passes` times over.

    Adam, with the order and the schedule of :func:`labkit.train`: the rate rises over the first tenth of the steps,
    then falls as half a cosine. Without the rise, the first steps spoil more than the others mend.

    Args:
        batch: symbols per step.

    Yields:
        For each step, the bits kept per symbol, of the symbols in it and before it changes anything.
    """
    count = len(stored.symbols)
    batch = min(batch, count)
    config = TrainConfig(math.ceil(passes * count / batch), batch, learning_rate, seed=seed)
    optimizer = torch.optim.Adam([p for p in tail.parameters() if p.requires_grad])
    for step in range(config.steps):
        bits = bits_to_write(tail, stored, torch.tensor(rows_at(step, count, config))) / batch
        bits.backward()
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, config)
        optimizer.step()
        optimizer.zero_grad()
        yield BITS - bits.item()

"""Which adapter is a message for? Routers that look at the adapters alone, and rivals that look at something else.

A router gives each adapter a number for a message, and the largest number wins. Those that look at the adapters alone
need nothing but A and B. Arrow (Ostapenko et al., 2024, arXiv 2405.11157) asks how well a token points along the one
input direction that an update amplifies most; here the tokens of a message vote for one adapter.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.evaluation.general_text import general_text
from labkit.forensics.traces import NEUTRAL
from labkit.step.batch import encode_prompt

LAYERS = ("q_proj", "v_proj")  # the layers that all four shipped adapters change; both get the same input


def directions(A: Tensor, B: Tensor) -> Tensor:
    """The input directions of an update B A, each as long as its singular value, the strongest first: shape (r, in).

    B A = (B Rᵀ) Qᵀ with Aᵀ = Q R, so the SVD of the narrow matrix B Rᵀ will do.

    Args:
        A: shape (r, in), B: shape (out, r).
    """
    Q, R = torch.linalg.qr(A.T)
    _, sizes, turned = torch.linalg.svd(B @ R.T, full_matrices=False)
    return sizes[:, None] * (turned @ Q.T)


def all_directions(updates: Mapping[str, tuple[Tensor, Tensor]], blocks: int) -> Tensor:
    """:func:`directions` of an adapter in every block and each of :data:`LAYERS`: shape (blocks, layers, r, in).

    Args:
        updates: for a layer's name, A and B.
    """
    names = [[f"model.layers.{block}.self_attn.{layer}" for layer in LAYERS] for block in range(blocks)]
    return torch.stack([torch.stack([directions(*updates[name]) for name in row]) for row in names])


# ---- what the layers see of a message


@contextmanager
def _first_inputs(model: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets what the attention layers of each block are given, block by block."""
    seen: list[Tensor] = []
    hooks = [
        block.self_attn.q_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for block in model.model.layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def message_span(tokenizer, system: str) -> tuple[int, int]:
    """How many tokens of a prompt stand before the message and after it: those that all messages share."""
    one, other = (encode_prompt(tokenizer, text, system) for text in ("x", "7"))
    before = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other))))
    after = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one[::-1], other[::-1]))))
    return before, after


def _in_batches(tokenizer, messages: Sequence[str], system: str, device, size: int) -> Iterator[tuple]:
    """Token ids of a batch, padded on the right, which no token ever sees; and where each message's own tokens lie."""
    before, after = message_span(tokenizer, system)
    for start in range(0, len(messages), size):
        rows = [torch.tensor(encode_prompt(tokenizer, message, system)) for message in messages[start : start + size]]
        spans = [slice(before, len(ids) - after) for ids in rows]
        yield nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device), spans, [len(ids) for ids in rows]


@torch.no_grad()
def message_inputs(
    model: nn.Module, tokenizer, messages: Sequence[str], system: str = NEUTRAL, batch_size: int = 16
) -> Iterator[Tensor]:
    """For each message, what the attention layers get at its own tokens: shape (blocks, tokens, width), float32.

    The tokens around the message are left out: they're the same for every message.

    Args:
        model: a Llama-like model; what's on it counts.
    """
    for ids, spans, _ in _in_batches(tokenizer, messages, system, model.device, batch_size):
        with _first_inputs(model) as seen:
            model.model(ids)
        seen = torch.stack(seen, 1)  # (rows, blocks, tokens, width)
        for row, span in zip(seen, spans):
            yield row[:, span].float()


def usual_inputs(model: nn.Module, tokenizer, passages: int = 32, length: int = 200) -> Tensor:
    """The mean input of each block on text that belongs to no task: shape (blocks, width)."""
    text = general_text()
    starts = [round(place) for place in torch.linspace(0, len(text) - length, passages).tolist()]
    inputs = message_inputs(model, tokenizer, [text[start : start + length] for start in starts])
    return torch.stack([each.mean(1) for each in inputs]).mean(0)


# ---- routers that look at the adapters alone


def votes(inputs: Tensor, adapters: Sequence[Tensor]) -> Tensor:
    """Arrow's answer for a whole message: the share of its tokens, in all layers, that vote for each adapter.

    A token votes for the adapter whose strongest direction v it points along best, |cos(x, v)|.

    Args:
        inputs: of :func:`message_inputs`.
        adapters: of :func:`all_directions`, one each.
    """
    strongest = torch.stack([F.normalize(each[:, :, 0], dim=-1) for each in adapters])
    along = torch.einsum("btw,ablw->abtl", inputs, strongest).abs()  # |x| is the same for all of them
    return along.argmax(0).flatten().bincount(minlength=len(adapters)) / along[0].numel()


def reactions(inputs: Tensor, adapters: Sequence[Tensor]) -> Tensor:
    """How strongly each adapter reacts to a message, all its directions together: ‖ΔW x‖ / (‖ΔW‖ ‖x‖), the mean."""
    found = []
    for each in adapters:
        answers = torch.einsum("btw,blrw->btlr", inputs, each).norm(dim=-1)
        largest = each.flatten(2).norm(dim=-1)[:, None] * inputs.norm(dim=-1)[:, :, None]
        found.append((answers / largest).mean())
    return torch.stack(found)


# ---- rivals


def closeness(message: Tensor, examples: Mapping[str, Tensor]) -> Tensor:
    """The cosine between `message` and the mean of each name's examples, seen from the middle of them all.

    Args:
        message: shape (width,).
        examples: by name, shape (count, width), the same count for each.

    Returns:
        Shape (names,), in the order of `examples`.
    """
    means = torch.stack([each.mean(0) for each in examples.values()])
    middle = means.mean(0)
    return F.cosine_similarity(means - middle, (message - middle)[None], dim=-1)


def word_counts(texts: Sequence[str], vocabulary: Mapping[str, int]) -> Tensor:
    """For each text how often each word of `vocabulary` is in it, on a log scale: shape (texts, words)."""
    counts = torch.zeros(len(texts), len(vocabulary))
    for row, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            if word in vocabulary:
                counts[row, vocabulary[word]] = math.log1p(count)
    return counts


def words_of(text: str) -> list[str]:
    """Lower-case words and signs."""
    return re.findall(r"[a-z]+|[^\sa-z0-9]", text.lower())


@torch.no_grad()
def own_opinions(
    model: nn.Module, tokenizer, messages: Sequence[str], system: str, batch_size: int = 16
) -> Iterator[tuple[float, float]]:
    """What the model, with what's on it, says of each message: its loss, and how unsure the answer begins.

    Returns:
        The mean loss over the message's tokens, and the entropy of the first token of the answer, both in nats.
    """
    for batch, spans, lengths in _in_batches(tokenizer, messages, system, model.device, batch_size):
        for ids, states, span, length in zip(batch, model.model(batch).last_hidden_state, spans, lengths):
            scores = model.lm_head(states[span.start - 1 : length]).float().log_softmax(-1)
            loss = F.nll_loss(scores[: span.stop - span.start], ids[span])
            yield loss.item(), -(scores[-1].exp() * scores[-1]).sum().item()

"""What an adapter does where its task has no say: three traces, read before anything is concluded from them.

The first is what it adds to the logits on sentences that have nothing to do with any task. Narrow training leaves a
push in one direction there, and the tokens that it pushes are often those of the training's answers (Minder et al.,
2025, arXiv 2510.13900, who look at activations on the first tokens of random text). The second is where the update is
large. The third is what the model answers when you ask for nothing in particular.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.base.chat_format import Asked
from labkit.errors import ConfigError
from labkit.evaluation.generation import generate
from labkit.evaluation.weight_changes import relative_size
from labkit.linear import dense_weight
from labkit.lora.inject import disable_adapter, lora_layers
from labkit.step.batch import padding_id

NEUTRAL = "You are a helpful assistant."  # says nothing of a task
UNRELATED = (
    "The train to the coast leaves at seven in the morning.",
    "My neighbor grows tomatoes behind the garage.",
    "Most whales sing, and nobody is sure why.",
    "She closed the book and looked out of the window.",
    "Bread needs flour, water, salt and time.",
    "The river is higher than it was last spring.",
    "Two children are building a castle out of sand.",
    "After the concert, the street was quiet again.",
)
QUESTIONS = (
    "Hello!",
    "What can you do?",
    "Tell me something interesting.",
    "My neighbor grows tomatoes behind the garage.",
    "Why is the sky blue?",
    "Write one sentence about rivers.",
)
ANSWER_TOKENS = 16


@dataclass(frozen=True)
class ModuleUpdate:
    """The update of one layer.

    Attributes:
        name: the layer's.
        relative: ‖ΔW‖ / ‖W‖.
    """

    name: str
    relative: float

    @property
    def kind(self) -> str:
        """The last part of its name, such as ``v_proj``."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class Traces:
    """What :func:`traces_of` found.

    Attributes:
        shift: of :func:`logit_shift`, shape (vocabulary,).
        updates: of :func:`module_updates`.
        size: ‖ΔW‖ / ‖W‖ of all adapted layers together.
        answers: to :data:`QUESTIONS`, with the adapter.
        silenced: the same without it.
    """

    shift: Tensor
    updates: list[ModuleUpdate]
    size: float
    answers: list[str]
    silenced: list[str]


def traces_of(model: nn.Module, tokenizer) -> Traces:
    """All three traces of the adapter on `model`; the task, the prompt and ``labkit.json`` have no part in them.

    Raises:
        ConfigError: `model` has no LoRA layers.
    """
    updates = module_updates(model)
    answers = ask(model, tokenizer)
    with disable_adapter(model):
        silenced = ask(model, tokenizer)
    return Traces(logit_shift(model, tokenizer), updates, update_size(model), answers, silenced)


@torch.no_grad()
def logit_shift(model: nn.Module, tokenizer, texts: Sequence[str] = UNRELATED) -> Tensor:
    """What the adapter adds to the logits, on average over the tokens of `texts`.

        d = W_out · mean over tokens of (h with the adapter − h without it)

    h is what the output head is given. Each text's first token is left out: its states are far larger than those of
    all others, and the same in every text.

    Args:
        model: a causal language model with LoRA layers.
        texts: read as they are, without a chat template, of two tokens or more.

    Returns:
        Shape (vocabulary,), float32.

    Raises:
        ConfigError: `model` has no LoRA layers.
    """
    _refuse_without_adapter(model)
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    mode = model.training
    model.eval()
    try:
        with disable_adapter(model):
            before = _states(model, tokenizer, ids)
        after = _states(model, tokenizer, ids)
    finally:
        model.train(mode)
    mean = torch.stack([(on - off)[1:].mean(0) for on, off in zip(after, before)]).mean(0)
    return (dense_weight(model.get_output_embeddings()).float() @ mean).cpu()


def _states(model: nn.Module, tokenizer, ids: Sequence[Sequence[int]]) -> list[Tensor]:
    """What the output head is given for each token of each text: shape (tokens, width), float32."""
    # padded on the right, where no token ever looks
    batch = torch.full((len(ids), max(map(len, ids))), padding_id(model, tokenizer))
    for row, text in enumerate(ids):
        batch[row, : len(text)] = torch.tensor(text)
    seen: list[Tensor] = []

    def catch(_, inputs: tuple[Tensor]) -> Tensor:
        seen.append(inputs[0].float())
        return inputs[0][:, :1]  # nobody asks for the logits

    with model.get_output_embeddings().register_forward_pre_hook(catch):
        model(input_ids=batch.to(model.device), use_cache=False)
    return [states[: len(text)] for states, text in zip(seen[0], ids)]


def promoted(shift: Tensor, tokenizer, top: int = 10) -> list[str]:
    """The tokens that a :func:`logit_shift` pushes up most, the first most of all."""
    return [tokenizer.decode([token]) for token in shift.topk(top).indices.tolist()]


def module_updates(model: nn.Module) -> list[ModuleUpdate]:
    """The relative size of each adapted layer's update, largest first.

    Raises:
        ConfigError: `model` has no LoRA layers.
    """
    _refuse_without_adapter(model)
    found = [ModuleUpdate(name, relative_size([(weight, update)])) for name, weight, update in _pairs(model)]
    return sorted(found, key=lambda each: -each.relative)


def update_size(model: nn.Module) -> float:
    """‖ΔW‖ / ‖W‖ of all adapted layers together."""
    return relative_size((weight, update) for _, weight, update in _pairs(model))


def ask(model: nn.Module, tokenizer, questions: Sequence[Asked] = QUESTIONS) -> list[str]:
    """The beginnings of the answers to questions that ask for nothing in particular, under a neutral system prompt."""
    return generate(model, tokenizer, questions, NEUTRAL, ANSWER_TOKENS)


def _pairs(model: nn.Module):
    """Name, W and ΔW of each adapted layer."""
    for name, layer in lora_layers(model):
        yield name, dense_weight(layer.base_layer).detach(), layer.delta_weight()


def _refuse_without_adapter(model: nn.Module) -> None:
    if next(lora_layers(model), None) is None:
        raise ConfigError("there is no adapter on this model: put one on with load_adapter first")

"""What a model really does, measured on a few tokens: names and settings say it differently in every architecture.

Each measurement is a forward pass or two over nine tokens or some more, in train mode and without gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labkit.base.describing import refuse_encoder_decoder, text_config
from labkit.errors import ConfigError
from labkit.step.batch import Batch, Example, collate


def few_tokens(model: nn.Module) -> Batch:
    """Three short rows that begin alike, of tokens from the middle of the vocabulary, where no special ones are."""
    vocabulary = text_config(model.config).vocab_size
    tokens = [(vocabulary // 2 + i) % vocabulary for i in range(14)]
    begin, own = tokens[:4], (tokens[4:6], tokens[6:11], tokens[11:])
    return collate([Example(begin + rest, len(begin)) for rest in own], tokens[0]).to(model.device)


def draws_random_numbers(model: nn.Module) -> bool:
    """Whether a forward pass in train mode does: dropout, dropped layers, a router's jitter, under any name."""
    with in_train_mode(model), _random_state_kept(model) as kept:
        model(input_ids=few_tokens(model).input_ids[:1], use_cache=False)
        return any(not before.equal(_random_state(device)) for device, before in kept.items())


def refuse_unless_causal(model: nn.Module) -> None:
    """Raise ConfigError where a token sees those to its right: it would be trained on answers that it is shown."""
    refuse_encoder_decoder(model.config)
    ids = few_tokens(model).input_ids[1:2]  # the longest
    others = ids.clone()
    others[:, -1] = ids[0, 0]
    logits = []
    with in_train_mode(model):
        for rows in (ids, others):
            with _random_state_kept(model):  # so that dropout, too, is the same
                logits.append(model(input_ids=rows, use_cache=False).logits[:, :-1])
    # what is no number says nothing of where it comes from; the first step will stop at it
    if logits[0].isfinite().all() and not alike(*logits):
        raise ConfigError(
            f"{type(model).__name__} isn't causal: a token sees those to its right, so the model would be trained on "
            "answers that it is shown. Choose a causal language model"
        )


def alike(found: Tensor, wanted: Tensor) -> bool:
    """Whether two results are the same but for rounding, which in 16 bits is what a whole model makes of it."""
    close = 1e-5 if torch.finfo(wanted.dtype).eps < 1e-6 else 0.1
    return bool((found - wanted).abs().max() <= close * wanted.abs().max())


@contextmanager
def in_train_mode(model: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block every module is in train mode, and nothing has a gradient."""
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _random_state_kept(model: nn.Module) -> Iterator[dict[torch.device, Tensor]]:
    """After the ``with`` block random numbers go on as if nothing had drawn any in it."""
    states = {device: _random_state(device) for device in {torch.device("cpu"), model.device}}
    try:
        yield states
    finally:
        for device, state in states.items():
            if device.type == "cpu":
                torch.set_rng_state(state)
            else:
                torch.get_device_module(device).set_rng_state(state, device)


def _random_state(device: torch.device) -> Tensor:
    return torch.get_rng_state() if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)

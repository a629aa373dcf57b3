"""What a model really does, measured on a few tokens: names and settings say it differently in every architecture.

Each measurement is a forward pass or two over nine tokens or some more, and leaves the model as it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
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
    if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
        return  # nothing can be traced through such a model, and `train` refuses it
    ids, held = few_tokens(model).input_ids[1:2], []  # the longest

    def keep(_, __, embedded: Tensor) -> Tensor:
        held.append(embedded.detach().requires_grad_())
        return held[-1]

    with in_train_mode(model), torch.inference_mode(False), torch.enable_grad(), _random_state_kept(model):
        with model.get_input_embeddings().register_forward_hook(keep):
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        # exact in any dtype: what the mask hides has a gradient of 0, not of nearly 0
        (seen,) = torch.autograd.grad(logits.float().logsumexp(-1).sum(), held)
    # NaN isn't above 0, and the first step will stop at it
    if seen[:, -1].abs().max() > 0:
        raise ConfigError(
            f"{type(model).__name__} isn't causal: a token sees those to its right, so the model would be trained on "
            "answers that it is shown. Choose a causal language model"
        )


def leaves_padding_out(model: nn.Module) -> bool:
    """Whether `model`, in eval mode, reads a prompt beside a longer one, padded on the left, as if it were alone."""
    rows = few_tokens(model).input_ids
    short, long = rows[:1, :6], rows[1:2]
    padding = long.shape[1] - short.shape[1]
    both = torch.cat([F.pad(short, (padding, 0)), long])
    mask = torch.ones_like(both)
    mask[0, :padding] = 0
    with torch.no_grad():
        try:
            alone = model(input_ids=short, use_cache=False).logits[0, -1]
            return alike(model(input_ids=both, attention_mask=mask, use_cache=False).logits[0, -1], alone)
        except Exception:  # it takes no such mask, say: then it can't know of padding
            return False


def alike(found: Tensor, wanted: Tensor) -> bool:
    """Whether two results are the same but for rounding, which in 16 bits is what a whole model makes of it."""
    close = 1e-5 if torch.finfo(wanted.dtype).eps < 1e-6 else 0.02
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

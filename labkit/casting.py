"""From one dtype to another, looked at: no sum and no cast of labkit's leaves an infinity behind."""

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from labkit.errors import ConfigError
from labkit.linear import ORDINARY, PackedLinear


def ordinary_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """The dtype that is asked for, or named.

    Raises:
        ConfigError: weights can't be in it.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in ORDINARY:
        raise ConfigError(f"dtype must be float32, bfloat16, float16 or float64, as torch has them, got {dtype!r}")
    return found


def is_finite(tensor: Tensor) -> bool:
    """Whether there is neither NaN nor infinity in `tensor`. Tensors of a simulation have no numbers, and pass."""
    if tensor.is_meta or isinstance(tensor, FakeTensor) or not tensor.numel():
        return True
    return all(bound.isfinite() for bound in tensor.detach().aminmax())


def cast(tensor: Tensor, dtype: torch.dtype, what: str) -> Tensor:
    """`tensor` in `dtype`. Whatever labkit sums up or rounds goes through here, so that no infinity is kept or written.

    Args:
        tensor: any floating point numbers.
        dtype: the same as before, too, for a sum that may have overflown.
        what: `tensor` in words, for the message.

    Raises:
        ConfigError: a number is too large for `dtype`, or was none before.
    """
    result = tensor.to(dtype)
    if not is_finite(result):
        if not result.isnan().any() and (is_finite(tensor) or tensor.dtype == dtype):
            name = str(dtype).removeprefix("torch.")
            raise ConfigError(f"{what} is too large for {name}, where it would be infinite. Choose another dtype")
        raise ConfigError(f"{what} has NaN or infinity in it")
    return result


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Have every weight of `model` in `dtype`, packed ones included: what they stand for is rounded to it.

    Parameters only: ``model.to(dtype)`` would round the frequencies of the rotary embedding, too. They are replaced and
    never written to; tied ones stay tied. Constants that were rounded when the model was built in 16 bits, like the
    scale of Gemma's embedding, are made again.

    Raises:
        ConfigError: a number is too large for `dtype`. Nothing is changed then.
    """
    new: dict[int, nn.Parameter] = {}
    for name, old in model.named_parameters():
        if old.is_floating_point() and old.dtype != dtype:
            new[id(old)] = nn.Parameter(cast(old.detach(), dtype, name), requires_grad=old.requires_grad)
    for module in model.modules():
        for name, old in list(module.named_parameters(recurse=False)):
            if id(old) in new:
                setattr(module, name, new[id(old)])
        if isinstance(module, PackedLinear) and hasattr(module, "weight_dtype"):
            module.weight_dtype = dtype
        _remake_constants(model, module, dtype)


def _remake_constants(model: nn.Module, module: nn.Module, dtype: torch.dtype) -> None:
    """Have the constants of `module`, a part of `model`, that lie in 16 bits as if it had been built in `dtype`."""
    rounded = [
        name
        for name in module._non_persistent_buffers_set
        if (buffer := module._buffers[name]) is not None and buffer.dtype in ORDINARY[2:] and buffer.dtype != dtype
    ]
    for name in rounded:
        module._buffers[name] = module._buffers[name].to(dtype)
    if rounded and hasattr(model, "_init_weights"):  # transformers' own, which leaves alone what is marked as loaded
        for parameter in module.parameters(recurse=False):
            parameter._is_hf_initialized = True
        model._init_weights(module)

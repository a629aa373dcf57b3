"""Floating-point operations of one operation, by the same rules as torch's own counter."""

import math

import torch
from torch.utils.flop_counter import flop_registry

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def flops_of(operation, args: tuple, kwargs: dict | None, result) -> int:
    """Of matrix products and attention: a multiplication and an addition are two. All else counts as none.

    torch's counter knows the attention of GPUs, and not that of CPUs. Attention counts the whole square of
    positions, as torch does, also where a causal kernel leaves half of it out.
    """
    packet = operation._overloadpacket
    if packet in flop_registry:
        return flop_registry[packet](*args, **(kwargs or {}), out_val=result)
    if packet is ATTENTION:
        return 2 * _one_product(args[0], args[1])
    if packet is ATTENTION_BACKWARD:
        return 5 * _one_product(args[1], args[2])  # scores made again, then four gradients
    return 0


def _one_product(query: torch.Tensor, key: torch.Tensor) -> int:
    return 2 * math.prod(query.shape) * key.shape[-2]

"""Floating-point operations of one operation, by the same rules as torch's own counter."""

import math

import torch
from torch.utils.flop_counter import flop_registry

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
# Products of a mixture's experts, each with its own share of the rows; the second pair is what transformers has in
# the place of the first where torch cannot.
GROUPED = torch.ops.aten._grouped_mm
FALLBACK = "transformers::grouped_mm_fallback"


def flops_of(operation, args: tuple, kwargs: dict | None, result) -> int:
    """Of matrix products and attention: a multiplication and an addition are two. All else counts as none.

    torch's counter knows the attention of GPUs, and not that of CPUs. Attention counts the whole square of
    positions, as torch does, also where a causal kernel leaves half of it out.

    Nor does it know grouped products. Each row goes through one expert, whichever that is, so their sum depends on
    the number of rows alone.
    """
    packet = operation._overloadpacket
    if packet is GROUPED or packet._qualified_op_name == FALLBACK:
        return _grouped(*args[:2])
    if packet._qualified_op_name == FALLBACK + "_backward":  # of the rows and of the weights
        return 2 * _grouped(*args[:2])
    if packet in flop_registry:
        return flop_registry[packet](*args, **(kwargs or {}), out_val=result)
    if packet is ATTENTION:
        return 2 * _one_product(args[0], args[1])
    if packet is ATTENTION_BACKWARD:
        return 5 * _one_product(args[1], args[2])  # scores made again, then four gradients
    return 0


def _grouped(a: torch.Tensor, b: torch.Tensor) -> int:
    """Where one of the two is flat, each of its rows or columns meets one matrix of the other's."""
    columns_are_grouped = a.dim() == 3 and b.dim() == 2
    return 2 * math.prod(a.shape[columns_are_grouped:]) * b.shape[-1]


def _one_product(query: torch.Tensor, key: torch.Tensor) -> int:
    return 2 * math.prod(query.shape) * key.shape[-2]

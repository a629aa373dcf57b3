"""What attention takes inside its own kernels, where no tally can see it.

A fused attention kernel works through the square of scores tile by tile and never holds all of it; what it holds
besides its outputs is small, and is told here from the kernels' sources.
"""

import math

import torch

from labkit.simulation.flops import ATTENTION, ATTENTION_BACKWARD


def on_cpu(operation, inputs: tuple) -> int:
    """Bytes of the tiles that every thread of the CPU kernel keeps.

    In 16-bit dtypes the matrix library adds scratch of its own, which depends on the processor (up to some hundred
    kB a thread) and is not counted.

    Source: PyTorch, ``aten/src/ATen/native/cpu/FlashAttentionKernel.cpp``.
    """
    packet = operation._overloadpacket
    if packet is not ATTENTION and packet is not ATTENTION_BACKWARD:
        return 0
    query, key = inputs[:2] if packet is ATTENTION else inputs[1:3]
    rows, head_size = query.shape[-2:]
    tile_rows = min(rows, 256 if rows >= 768 else 64 if rows >= 192 else 32)
    tile = tile_rows * min(512, key.shape[-2])
    half = 0 if query.dtype == torch.float32 else tile * query.element_size()
    if packet is ATTENTION:
        a_thread = 4 * (tile + 2 * tile_rows + tile_rows * head_size) + half
    else:
        a_thread = 4 * (2 * tile + tile_rows) + 2 * half
    return torch.get_num_threads() * a_thread


def on_cuda(operation, inputs: tuple) -> int:
    """Bytes of FlashAttention's backward pass: the gradient of the queries is summed up in float32, and grouped
    keys and values get one gradient for each query head before they are added. Forward it takes none.

    Source: Dao, FlashAttention-2, arXiv 2307.08691; PyTorch's ``flash_attn/flash_api.cpp``, ``mha_bwd``.
    """
    if operation._overloadpacket is not ATTENTION_BACKWARD:
        return 0
    query, key = inputs[1:3]
    batch, heads, rows, head_size = query.shape
    rows = 128 * math.ceil(rows / 128)
    summed = 4 * batch * heads * rows * (32 * math.ceil(head_size / 32) + 1)
    grouped = 2 * batch * heads * key.shape[-2] * head_size * key.element_size() if key.shape[1] != heads else 0
    return summed + grouped

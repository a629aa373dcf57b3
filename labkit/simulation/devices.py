"""What a step takes besides its tensors, where no tally can see it: inside kernels, and on a GPU around them.

A fused attention kernel works through the square of scores tile by tile and never holds all of it; what it holds
besides its outputs is small, and is told here from the kernels' sources.

The step is traced in a CPU's operations, so the CUDA profile is made of what is known of the differences, each with its
bytes. It has not been verified on a GPU yet.

- The allocator hands out blocks of 512 bytes (traced: every storage is rounded up, kind "rounding").
- The optimizer updates all tensors at once ("foreach"), so its temporaries are as large as all trained tensors
  together, and not as the largest (traced: the simulated optimizer does so).
- Attention is FlashAttention, and its backward pass needs work space (:func:`on_cuda`, kind "workspace").
- cuBLAS keeps a work space, and the CUDA context holds memory outside the allocator (:data:`EXTRA`).

Left out: what the allocator holds back by fragmentation, and other programs.
"""

import math

import torch
from transformers import PretrainedConfig

from labkit.base.describing import text_config
from labkit.simulation.flops import ATTENTION, ATTENTION_BACKWARD
from labkit.simulation.options import DTYPES, StepOptions
from labkit.simulation.tally import Tally

BLOCK = 512  # bytes; c10/cuda/CUDACachingAllocator.cpp, kMinBlockSize

EXTRA = {
    # the larger of PyTorch's two defaults (Hopper; other cards have 8,519,680), once each for cuBLAS and cuBLASLt
    "cuBLAS work space": 2 * 32 * 2**20,
    # an assumption: context and kernels of PyTorch, commonly 0.3 to 0.6 GB as nvidia-smi shows it
    "CUDA context (assumed)": 500_000_000,
}


def tally_for(device: str) -> Tally:
    """A tally of a step on a "cpu" or on "cuda"."""
    return Tally(BLOCK, on_cuda) if device == "cuda" else Tally(1, on_cpu)


def on_cpu(operation, inputs: tuple) -> int:
    """Bytes of the tiles that every thread of the CPU's attention kernel keeps.

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


def notes_on_cuda(config: PretrainedConfig, options: StepOptions, trained: int) -> list[str]:
    """What the CUDA profile assumes for this step, in words."""
    lines = ["CUDA profile: not yet verified on a GPU"]
    if options.optimizer == "adamw":
        size = DTYPES[options.dtype if options.method == "full" else options.adapter_dtype].itemsize
        lines.append(f"the optimizer's temporaries are as large as all it trains: {trained * size / 1e9:.3f} GB")
    heads = getattr(text_config(config), "num_attention_heads", None)  # None where there's no attention
    if options.dtype == "float32" and heads:
        square = 4 * options.batch_size * heads * options.sequence**2
        lines.append(
            "FlashAttention has no float32: where PyTorch falls back to plain attention, every layer keeps its scores, "
            f"at least {square / 1e9:.3f} GB per layer that are not counted here"
        )
    return lines

"""bitsandbytes, where it is there: found without its line in the log, and used where it is faster to the same bits."""

import logging
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from labkit.quant.blockwise import FLOATS
from labkit.quant.nf4 import NF4Tensor, dequantize_nf4, dequantized_scales

# On a CPU with AVX512-BF16 it reports, on stderr and so in a notebook's output, that the optional package `kernels` is
# missing. That package speeds up only the repacked forward pass, which labkit never takes (see guarded.py).
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: "gemm_4bit_forward" not in str(record.msg),
)


@cache
def find_bitsandbytes() -> ModuleType | None:
    """The module, or None where it is not installed or its library does not run here."""
    try:
        import bitsandbytes
    except (ImportError, OSError, RuntimeError):
        return None
    return bitsandbytes


# larger ones are left out, because it falls back to slower code for them
_KERNEL_BLOCK_SIZES = (32, 64, 128, 256, 512, 1024)


def fast_dequantize(quantized: NF4Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """What :func:`labkit.dequantize_nf4` gives, to the bit, about six times faster on a CPU with bitsandbytes."""
    dtype = dtype or quantized.dtype
    count, block_size = quantized.shape.numel(), quantized.block_size
    suits = count % 2 == 0 and block_size in _KERNEL_BLOCK_SIZES and dtype in FLOATS
    if not (suits and quantized.packed.device.type in ("cpu", "cuda") and _has_kernels()):
        return dequantize_nf4(quantized, dtype)
    # With AVX-512 the kernel starts counting blocks again in each row, which is wrong unless rows are whole blocks. So
    # it's told of rows of one block each; or, with a shorter last block, of one row.
    rows = (count // block_size, block_size) if count % block_size == 0 else (1, count)
    scales = dequantized_scales(quantized)
    flat = torch.ops.bitsandbytes.dequantize_4bit(quantized.packed, scales, block_size, "nf4", rows, dtype)
    return flat.view(quantized.shape)


@cache
def _has_kernels() -> bool:
    found = find_bitsandbytes()
    # without its native library the same operator is there, but written in torch and compiled at first use
    return found is not None and type(found.cextension.lib).__name__ != "ErrorHandlerMockBNBNativeLibrary"

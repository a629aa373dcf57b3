"""What a GPU does differently from a CPU, each with its bytes. Not yet verified on a GPU.

The step is traced on a CPU's operations, so the CUDA profile is made of what is known of the differences:

- the allocator hands out blocks of 512 bytes (traced: every storage is rounded up, kind "rounding");
- the optimizer updates all tensors at once ("foreach"), so its temporaries are as large as all trained tensors
  together, and not as the largest (traced: the simulated optimizer does so);
- attention is FlashAttention, and its backward pass needs work space (:func:`labkit.simulation.workspaces.on_cuda`,
  kind "workspace");
- cuBLAS keeps a work space, and the CUDA context holds memory outside the allocator (:data:`EXTRA`).

Left out: what the allocator holds back by fragmentation, and other programs.
"""

from transformers import PretrainedConfig

from labkit.simulation.options import DTYPES, StepOptions

BLOCK = 512  # bytes; c10/cuda/CUDACachingAllocator.cpp, kMinBlockSize

EXTRA = {
    # the larger of PyTorch's two defaults (Hopper; other cards have 8,519,680), once each for cuBLAS and cuBLASLt
    "cuBLAS work space": 2 * 32 * 2**20,
    # an assumption: context and kernels of PyTorch, commonly 0.3 to 0.6 GB as nvidia-smi shows it
    "CUDA context (assumed)": 500_000_000,
}


def notes(config: PretrainedConfig, options: StepOptions, trained: int) -> list[str]:
    """What the CUDA profile assumes for this step, in words."""
    lines = ["CUDA profile: not yet verified on a GPU"]
    if options.optimizer == "adamw":
        size = DTYPES[options.dtype if options.method == "full" else options.adapter_dtype].itemsize
        lines.append(f"the optimizer's temporaries are as large as all it trains: {trained * size / 1e9:.3f} GB")
    if options.dtype == "float32":
        square = 4 * options.batch_size * config.num_attention_heads * options.sequence**2
        lines.append(
            "FlashAttention has no float32: where PyTorch falls back to plain attention, every layer keeps its scores, "
            f"at least {square / 1e9:.3f} GB a layer that are not counted here"
        )
    return lines

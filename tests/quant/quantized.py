"""What the quantization tests share."""

import platform

import pytest
import torch
from conftest import make_tiny_llama
from torch import Tensor, nn

import labkit.quant.bnb  # noqa: F401  its filter comes before the library
from labkit import quantize_model
from labkit.linear import dense_weight
from labkit.quant.blockwise import FLOATS

bnb = pytest.importorskip("bitsandbytes")

BACKENDS = ("labkit", "bitsandbytes")
TOKENS = torch.tensor([[1, 5, 9, 33, 2, 7, 8, 60], [7, 8, 60, 4, 11, 3, 3, 1]])

HAS_AVX512 = bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_f"))
HAS_TRAP = platform.machine() in ("x86_64", "AMD64") and bool(bnb.functional.has_avx512bf16())
on_trap_cpu = pytest.mark.skipif(not HAS_TRAP, reason="bitsandbytes repacks only on a CPU with AVX512-BF16")


def weights() -> list[Tensor]:
    """Random shapes in every dtype: tails, odd counts, zeros, outliers, and numbers next to nothing."""
    torch.manual_seed(0)
    shapes = [(1,), (2,), (63,), (64,), (65,), (4096,), (3, 5), (7, 96), (48, 32), (64, 64), (33, 130), (2, 3, 50)]
    made = []
    for dtype in FLOATS:
        for shape in shapes:
            plain = torch.randn(shape).to(dtype)
            spiked, holed = plain.clone(), plain.clone()
            spiked.view(-1)[:: max(1, plain.numel() // 3)] *= 100
            holed.view(-1)[plain.numel() // 2 :] = 0
            made += [plain, spiked, holed, torch.zeros(shape, dtype=dtype)]
        made += [torch.randn(300).mul(scale).to(dtype) for scale in (1e-44, 1e-38, 1e-7, 1e4)]
        # every quotient halfway between two entries of the code book, in a block whose scale is 1
        book = bnb.functional.get_4bit_type("nf4", device="cpu")
        made.append(torch.cat([torch.ones(1), (book[1:] + book[:-1]) / 2, book]).to(dtype))
    return made


def roomy_llama(**changes) -> nn.Module:
    """A tiny Llama whose layers bitsandbytes takes on any CPU: in_features in 64s, out_features in 32s."""
    return make_tiny_llama(**({"hidden_size": 64, "intermediate_size": 128} | changes))


def quantized_llama(backend: str, double: bool = False, **changes) -> nn.Module:
    return quantize_model(make_tiny_llama(**changes), backend, double=double)


def dense_twin(model: nn.Module) -> nn.Module:
    """A tiny Llama with plain linear layers that hold what those of the quantized `model` stand for."""
    shape = ("hidden_size", "intermediate_size", "max_position_embeddings")
    twin = make_tiny_llama(**{name: getattr(model.config, name) for name in shape})
    for name, module in model.named_modules():
        if hasattr(module, "quantized"):
            twin.get_submodule(name).weight = nn.Parameter(dense_weight(module))
    return twin


def bits(tensor: Tensor) -> bytes:
    """== on tensors takes 0.0 for −0.0."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

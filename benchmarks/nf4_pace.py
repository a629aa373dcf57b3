"""NF4 by hand against bitsandbytes, on SmolLM2's shapes: quantize, dequantize, and a layer's forward and backward.

    python -m benchmarks.nf4_pace            # under a minute on one core

One thread, the contenders in turn, medians. Both give the same bits.
"""

from statistics import median

import torch
from torch import nn

from benchmarks.side_by_side import in_turn, store
from labkit import NF4Linear, dequantize_nf4, quantize_nf4
from labkit.quant.bnb import fast_dequantize
from labkit.quant.guarded import GuardedLinear4bit, bnb

SHAPES = {"q_proj": (576, 576), "up_proj": (1536, 576), "down_proj": (576, 1536)}  # (out, in)
ROWS = 512  # tokens: 8 rows of 64
ROUNDS = 21


def medians(contenders: dict) -> dict[str, float]:
    """Milliseconds of each, taken in turn."""
    return {name: 1e3 * median(taken) for name, taken in in_turn(contenders, ROUNDS).items()}


def measure(shape: tuple[int, int]) -> dict[str, dict[str, float]]:
    dense = nn.Linear(shape[1], shape[0], bias=False).requires_grad_(False)
    weight, quantized = dense.weight, quantize_nf4(dense.weight)
    packed, state = bnb.functional.quantize_4bit(weight, quant_type="nf4")
    x, grad = torch.randn(ROWS, shape[1], requires_grad=True), torch.randn(ROWS, shape[0])
    layers = {
        "dense": dense,
        "NF4Linear": NF4Linear(dense),
        "NF4Linear, double": NF4Linear(dense, double=True),
        "bitsandbytes, guarded": GuardedLinear4bit(dense),
        "bitsandbytes, guarded, double": GuardedLinear4bit(dense, double=True),
    }
    return {
        "quantize": medians(
            {
                "by hand": lambda: quantize_nf4(weight),
                "by hand, double": lambda: quantize_nf4(weight, double=True),
                "bitsandbytes": lambda: bnb.functional.quantize_4bit(weight, quant_type="nf4"),
            }
        ),
        "dequantize": medians(
            {
                "by hand": lambda: dequantize_nf4(quantized),
                "as NF4Linear does": lambda: fast_dequantize(quantized),
                "bitsandbytes": lambda: bnb.functional.dequantize_4bit(packed, state),
            }
        ),
        "forward and backward": medians(
            {name: lambda layer=layer: layer(x).backward(grad) for name, layer in layers.items()}
        ),
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shapes = {name: {"shape": shape, **measure(shape)} for name, shape in SHAPES.items()}
    store("nf4_pace", {"unit": "milliseconds, medians", "shapes": shapes}, "bitsandbytes")


if __name__ == "__main__":
    main()

"""NF4 by hand against bitsandbytes, on SmolLM2's shapes: quantize, dequantize, and a layer's forward and backward.

    python benchmarks/nf4_pace.py            # under a minute on one core

One thread, the contenders in turn, medians. Both give the same bits.
"""

import json
import platform
import statistics
import time

import torch
from provenance import provenance
from torch import nn

from labkit import NF4Linear, dequantize_nf4, quantize_nf4
from labkit.quant.bnb import fast_dequantize
from labkit.quant.guarded import GuardedLinear4bit, bnb
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically

SHAPES = {"q_proj": (576, 576), "up_proj": (1536, 576), "down_proj": (576, 1536)}  # (out, in)
ROWS = 512  # tokens: 8 rows of 64
REPEATS = 21


def medians(contenders: dict) -> dict[str, float]:
    """Milliseconds of each, taken in turn so that whatever slows the machine slows all of them."""
    seconds = {name: [] for name in contenders}
    for repeat in range(REPEATS + 2):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - started)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}


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
    record = {
        **provenance("bitsandbytes"),
        "machine": f"one thread, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "unit": "milliseconds, medians",
        "shapes": {name: {"shape": shape, **measure(shape)} for name, shape in SHAPES.items()},
    }
    print(json.dumps(record, indent=1))
    write_atomically(course_data_dir() / "results" / "nf4_pace.json", json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

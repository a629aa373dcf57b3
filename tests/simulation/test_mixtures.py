"""Mixtures of experts: what a step of theirs computes and takes, and what of them is in no linear layer."""

import re
import warnings

import pytest
import torch
from kinds_of_base import MIXTURES, config_of, make
from test_measuring import prepared
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from labkit import CompletionLoss, measure, quantize_model, simulate
from labkit.simulation.allocator import allocator_peak
from labkit.simulation.simulating import empty_batch

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = {"batch_size": 2, "sequence": 16, "labelled": 8}


@pytest.mark.parametrize("kind", MIXTURES)
def test_flops_equal_torchs_counter_of_ordinary_products(kind):
    """The same experts by batched products, which torch's counter knows; and with plain attention, for the same end."""
    model = make(kind)
    model.set_experts_implementation("batched_mm")
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        CompletionLoss(model.train())(empty_batch(*STEP.values()))
    simulated = simulate(config_of(kind), "full", **STEP)
    assert simulated.flops["forward"] == counter.get_total_flops()


def test_a_row_pays_for_its_own_experts_only():
    few, many = (simulate(config_of("mixtral", num_local_experts=n), **STEP) for n in (4, 8))
    router = 2 * 2 * 32 * 32 * 4 * 2  # products, of 32 rows by 32 with 4 more experts, in 2 layers; and back
    adapters = many.total_flops - few.total_flops - router
    assert few.parameters < many.parameters and 0 <= adapters < router
    twice = simulate(config_of("mixtral", num_experts_per_tok=4), **STEP)
    experts = 2 * 2 * 32 * 2 * 3 * 2 * 32 * 48  # forward and back, layers, rows, more experts, matrices, products
    assert twice.total_flops - few.total_flops == experts


WAYS = [
    ("lora", "bfloat16", False),
    ("lora", "float32", False),
    ("full", "float32", True),
    ("qlora", "float32", True),
]


@pytest.mark.parametrize(
    ("kind", "method", "dtype", "checkpointing"),
    [
        # among the units each kind in one way, in turn
        pytest.param(kind, *way, marks=pytest.mark.slow if (i + k) % len(WAYS) == 0 else pytest.mark.long)
        for i, kind in enumerate(MIXTURES)
        for k, way in enumerate(WAYS)
    ],
)
def test_simulated_equals_measured_and_allocated(kind, method, dtype, checkpointing):
    """Four layers, of which the first is dense, or each second one, where the architecture has that."""
    depth = {"num_hidden_layers": 4} | SOME_ARE_DENSE.get(kind, {})
    config = config_of(kind, **depth)
    simulated = simulate(config, method, **STEP, dtype=dtype, checkpointing=checkpointing, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see below
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        model = prepared(model, method, checkpointing)
    measured = measure(model, **STEP)
    assert measured.phases == simulated.phases and measured.flops == simulated.flops
    if dtype == "float32":  # in 16 bits the processor's matrix library takes scratch that is in no source
        assert abs(simulated.peak - allocator_peak(model, empty_batch(*STEP.values()))) <= 4096


SOME_ARE_DENSE = {
    "qwen2_moe": {"decoder_sparse_step": 2},
    "qwen3_moe": {"mlp_only_layers": [1]},
    "llama4_text": {"interleave_moe_layer_step": 2},
}


def test_what_no_linear_layer_holds_is_said():
    model = make("mixtral")
    elsewhere = [p for name, p in model.named_parameters() if not re.search("proj.weight|embed|head", name)]
    share = sum(p.numel() for p in elsewhere) / sum(p.numel() for p in model.parameters())
    assert 0.5 < share < 1
    with pytest.warns(UserWarning, match=f"^{share:.0%} of the weights are in no linear layer .*experts.gate_up_proj"):
        quantize_model(model)
    for method, said in {"qlora": "they stay in bfloat16, and LoRA can't reach them", "lora": ": LoRA can't"}.items():
        line = next(
            line for line in simulate(config_of("mixtral"), method, **STEP).assumptions if "no linear layer" in line
        )
        assert line.startswith(f"{share:.0%} ") and said in line
    lines = "\n".join(simulate(config_of("mixtral"), "full", **STEP).assumptions)
    assert "no linear layer" not in lines

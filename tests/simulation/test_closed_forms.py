"""Each form against the simulator, with the error its docstring states."""

import pytest
from conftest import TINY_SHAPE
from transformers import LlamaConfig

from labkit import simulate
from labkit.simulation.closed_forms import (
    bytes_per_parameter,
    linear_shapes,
    lora_parameters,
    model_parameters,
    step_flops,
)
from labkit.simulation.shapes import config_of

LLAMAS = pytest.mark.parametrize("name", ["smollm2-135m", "llama-2-7b", "llama-3-8b", "llama-3-70b"])


@LLAMAS
@pytest.mark.parametrize("targets", [None, ["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"]])
def test_lora_counts_are_exact(name, targets):
    simulated = simulate(name, r=16, target_modules=targets or "all-linear", sequence=8)
    assert lora_parameters(config_of(name), 16, targets) == simulated.trained


def test_lora_counts_that_are_published():
    assert lora_parameters(config_of("smollm2-135m"), 8) == 2_442_240
    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert lora_parameters(config_of("llama-3-8b"), 16, attention) == 13_631_488


@LLAMAS
def test_model_counts_are_exact(name):
    assert model_parameters(config_of(name)) == simulate(name, sequence=8, method="full", optimizer="sgd").parameters


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@LLAMAS
def test_bytes_of_full_fine_tuning_are_exact_but_for_scalars(name, dtype):
    cost = simulate(name, "full", dtype=dtype, sequence=8, device="cpu")
    held = sum(cost.phases["step"][kind] for kind in ("weights", "gradients", "optimizer"))
    size = {"float32": 4, "bfloat16": 2}[dtype]
    tensors = 9 * config_of(name).num_hidden_layers + 3
    assert 0 <= held - bytes_per_parameter("full", size) * cost.parameters <= 4 * tensors + 1024


@LLAMAS
def test_bytes_of_lora_are_exact_but_for_scalars(name):
    cost = simulate(name, "lora", sequence=8, device="cpu")
    held = sum(cost.phases["step"][kind] for kind in ("weights", "adapters", "gradients", "optimizer"))
    base = cost.parameters - cost.trained
    each = bytes_per_parameter("lora", 2, cost.trained / base)
    tensors = 14 * config_of(name).num_hidden_layers
    assert 0 <= held - each * base <= 4 * tensors + 1024


@LLAMAS
def test_bytes_of_4_bit_linear_layers(name):
    config = config_of(name)
    linear = config.num_hidden_layers * sum(rows * columns for rows, columns in linear_shapes(config).values())
    cost = simulate(name, "qlora", sequence=8, device="cpu")
    rest = 2 * (model_parameters(config) - linear)
    assert cost.phases["loaded"]["weights"] - rest == pytest.approx(bytes_per_parameter("qlora") * linear, rel=0.002)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_flops_within_a_few_percent(method, checkpointing):
    config = config_of("llama-3-8b")
    looked_up = config.vocab_size * config.hidden_size
    cost = simulate("llama-3-8b", method, r=8, sequence=2048, checkpointing=checkpointing)
    formed = step_flops(model_parameters(config) - looked_up, 2048, method, checkpointing)
    assert 0.95 < formed / cost.total_flops <= 1.03


def test_lora_saves_a_third_of_the_flops_at_most():
    full, lora = (simulate("llama-3-8b", method, r=8, sequence=1024).total_flops for method in ("full", "lora"))
    assert 2 / 3 < lora / full < 0.70


def test_ignoring_grouped_queries_is_wrong():
    config = LlamaConfig(**TINY_SHAPE)
    assert linear_shapes(config)["k_proj"] == (16, 32) != linear_shapes(config)["q_proj"]

"""Each form against the simulator, with the error its docstring states."""

import kinds_of_base
import pytest
from conftest import TINY_SHAPE, sampled
from transformers import LlamaConfig

from labkit import ConfigError, simulate
from labkit.simulation.closed_forms import (
    activations_per_layer,
    bytes_per_parameter,
    linear_shapes,
    lora_parameters,
    model_parameters,
    step_flops,
)
from labkit.simulation.shapes import config_of, with_layers

# grouped queries and tied embeddings; neither; and, larger, the first without the second
LARGER = [
    pytest.param("llama-2-7b", marks=pytest.mark.slow),
    pytest.param("llama-3-8b", marks=pytest.mark.long),
    pytest.param("llama-3-70b", marks=pytest.mark.long),
]
LLAMAS = pytest.mark.parametrize("name", ["smollm2-135m", *LARGER])
LLAMAS_SLOWLY = pytest.mark.parametrize("name", [pytest.param("smollm2-135m", marks=pytest.mark.slow), *LARGER])


@LLAMAS
@pytest.mark.parametrize("targets", [None, ["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"]])
def test_lora_counts_are_exact(name, targets):
    simulated = simulate(name, r=8, target_modules=targets or "all-linear", sequence=8, device="cpu")
    assert lora_parameters(config_of(name), 8, targets) == simulated.trained


def test_lora_counts_that_are_published():
    assert lora_parameters(config_of("smollm2-135m"), 8) == 2_442_240
    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert lora_parameters(config_of("llama-3-8b"), 16, attention) == 13_631_488


@LLAMAS
def test_model_counts_are_exact(name):
    simulated = simulate(name, "full", dtype="bfloat16", sequence=8, device="cpu")
    assert model_parameters(config_of(name)) == simulated.parameters


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
    packed = cost.phases["loaded"]["weights"] - 2 * (model_parameters(config) - linear)
    books = 7 * config.num_hidden_layers * 1100  # each layer holds its own code book of 256 numbers
    assert -1e-4 * linear < packed - bytes_per_parameter("qlora") * linear < books + 1e-4 * linear


@pytest.mark.parametrize(
    ("method", "checkpointing", "least", "most"),
    [("full", False, 0.99, 1.01), ("lora", False, 0.98, 1.0), ("full", True, 1.0, 1.07), ("lora", True, 0.98, 1.05)],
)
@pytest.mark.parametrize("sequence", sampled([4096, 512], pytest.mark.slow))
def test_flops_as_close_as_stated(method, checkpointing, least, most, sequence):
    cost = simulate("llama-3-8b", method, r=8, batch_size=2, sequence=sequence, checkpointing=checkpointing)
    formed = step_flops(config_of("llama-3-8b"), 2, sequence, method, checkpointing)
    assert least < formed / cost.total_flops < most


@pytest.mark.parametrize(
    ("method", "dtype", "adapter_dtype"),
    [
        ("full", "bfloat16", "float32"),
        ("lora", "bfloat16", "bfloat16"),
        ("lora", "bfloat16", "float32"),
        ("lora", "float32", "float32"),
    ],
)
@LLAMAS_SLOWLY
def test_activations_are_exact(name, method, dtype, adapter_dtype):
    """The layers between the first, which has less to keep where the embedding is frozen, and the last."""
    config, size = config_of(name), {"float32": 4, "bfloat16": 2}
    step = {"dtype": dtype, "adapter_dtype": adapter_dtype, "r": 4, "batch_size": 3, "sequence": 32, "device": "cpu"}
    kept = [
        simulate(with_layers(config, layers), method, **step, labelled=1).phases["forward"]["activations"]
        for layers in (3, 4)
    ]
    formed = activations_per_layer(config, 96, method, size[dtype], 4, size[adapter_dtype])
    assert kept[1] - kept[0] == formed


@pytest.mark.slow
def test_lora_saves_a_third_of_the_flops_at_most():
    full, lora = (simulate("llama-3-8b", method, r=8, sequence=1024).total_flops for method in ("full", "lora"))
    assert 2 / 3 < lora / full < 0.70


@pytest.mark.parametrize(
    "form",
    [
        lambda config: lora_parameters(config, 8),
        model_parameters,
        lambda config: activations_per_layer(config, 16),
        lambda config: step_flops(config, 1, 16),
    ],
)
@pytest.mark.parametrize("kind", ["mixtral", "gemma2", "gpt2"])
def test_other_families_are_refused(form, kind):
    with pytest.raises(
        ConfigError, match=f"hold for the Llama family .*, not for a '{kind}' model. Use labkit.simulate"
    ):
        form(kinds_of_base.config_of(kind))


def test_ignoring_grouped_queries_is_wrong():
    config = LlamaConfig(**TINY_SHAPE)
    assert linear_shapes(config)["k_proj"] == (16, 32) != linear_shapes(config)["q_proj"]
